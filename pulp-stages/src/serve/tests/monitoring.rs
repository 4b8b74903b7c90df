//! Health, readiness, metrics and correlation ids.

use pulp_models::remote::Policy;
use tokio::net::TcpListener;

use super::kit::{Bench, pattern};
use crate::{
    serve::{ServeSettings, ServerSettings, serve_metrics},
    testing::Upstream,
};

/// The value of a sample, which stands there with all its labels.
fn sample(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no `{name}` in\n{page}")).parse().expect("a number")
}

#[tokio::test]
async fn metrics_tell_what_clients_asked_for_and_where_it_came_from() {
    let bytes = pattern(100_000);
    let upstream = Upstream::start().await.file("f", bytes.clone());
    let bench = Bench::start().await;
    let remote = bench.remote(Policy::OnDemand).await;
    let fetched = bench.on_demand("f", &bytes, &[(remote, upstream.url("f"))]).await;
    let stored = bench.stored("s", "stored").await;
    bench.serve_units(&[fetched, stored]).await;
    bench.get("files/s").await.expect(200);
    bench.get("files/f").await.expect(200);
    bench.until_idle().await;
    bench.get("files/f").await.expect(200);
    bench.get("files/none").await.expect(404);

    let page = bench.raw("/metrics").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("content-type: text/plain; version=0.0.4"), "{page}");
    for (name, value) in [
        ("pulp_http_requests_total{method=\"GET\",code=\"200\"}", 3.0),
        ("pulp_http_requests_total{method=\"GET\",code=\"404\"}", 1.0),
        ("pulp_content_responses_total{source=\"store\"}", 2.0),
        ("pulp_content_responses_total{source=\"fill\"}", 1.0),
        ("pulp_fills_total{outcome=\"completed\"}", 1.0),
        ("pulp_fill_bytes_total", 100_000.0),
        ("pulp_fills", 0.0),
        ("pulp_database_up", 1.0),
        ("pulp_repositories", 1.0),
    ] {
        let actual = sample(&page, name);
        assert!((actual - value).abs() < 0.5, "{name} is {actual}, not {value}");
    }
    assert!(sample(&page, "pulp_http_sent_bytes_total") > 200_000.0);
    assert!(sample(&page, "pulp_http_connections") >= 1.0);
}

#[tokio::test]
async fn metrics_can_be_served_apart() {
    let settings = ServeSettings { metrics_apart: true, ..ServeSettings::default() };
    let mut bench = Bench::with(settings, ServerSettings::default()).await;
    assert!(bench.raw("/metrics").await.starts_with("HTTP/1.1 404"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    bench.address = listener.local_addr().expect("bound");
    let serving = serve_metrics(listener, bench.app.clone(), bench.shutdown.clone());
    let asking = async {
        assert!(bench.raw("/metrics").await.contains("pulp_http_requests_total"));
        assert!(bench.raw("/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(bench.raw("/pulp/content/").await.starts_with("HTTP/1.1 404"));
        bench.shutdown.cancel();
    };
    tokio::join!(serving, asking);
}

#[tokio::test]
async fn a_server_whose_store_is_gone_lives_but_is_not_ready() {
    let bench = Bench::start().await;
    let ready = bench.raw("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(ready.ends_with(r#"{"ready":true,"database":true,"store":true}"#), "{ready}");
    std::fs::remove_dir_all(bench.installation.home().join("artifacts")).expect("removed");
    let ready = bench.raw("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(ready.ends_with(r#"{"ready":false,"database":true,"store":false}"#), "{ready}");
    assert!(bench.raw("/livez").await.starts_with("HTTP/1.1 200"));
    assert_eq!(bench.temporary_files(), 0);
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let bench = Bench::start().await;
    let given = bench.get_with("", &[("x-request-id", "abc-1")]).await;
    assert_eq!(given.header("x-request-id"), "abc-1");
    let first = bench.get("").await.header("x-request-id").to_owned();
    let second = bench.get("none").await.header("x-request-id").to_owned();
    assert!(first.len() == 36 && second.len() == 36 && first != second, "{first} {second}");
}
