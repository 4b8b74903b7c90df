//! From paths to publications.

use std::time::Duration;

use pulp_models::{
    PublicationId, RelativePath,
    distribution::{self, Target},
    publication::{self, Published, PublishedArtifact},
};
use reqwest::Method;
use serde_json::json;

use super::kit::{Bench, PATIENCE};
use crate::serve::{DistributionSettings, ServeSettings, ServerSettings};

async fn metadata(bench: &Bench, path: &str, text: &'static str) -> PublishedArtifact {
    let sha256 = bench.artifact(text).await;
    let published = Published::Metadata { sha256, size: text.len() as u64 };
    PublishedArtifact { relative_path: RelativePath::new(path).expect("a path"), published }
}

#[tokio::test]
async fn a_publications_own_paths_come_before_its_versions() {
    let bench = Bench::start().await;
    let units = [bench.stored("one", "unit").await, bench.stored("two", "unit 2").await];
    let other =
        Published::Content { content: units[0], path: RelativePath::new("one").expect("ok") };
    let moved = PublishedArtifact {
        relative_path: RelativePath::new("pool/o/one").expect("a path"),
        published: other,
    };
    let rows = vec![metadata(&bench, "two", "generated").await, moved];
    bench.publish_with(&units, rows, false).await;
    bench.distribute("deep/base").await;
    assert_eq!(bench.get("deep/base/one").await.expect(200).text(), "unit");
    assert_eq!(bench.get("deep/base/two").await.expect(200).text(), "generated");
    assert_eq!(bench.get("deep/base/pool/o/one").await.expect(200).text(), "unit");
    let missing = bench.get("deep/base/three").await.expect(404).text();
    assert!(missing.contains("`three` is not in `deep/base`"), "{missing}");
    assert!(bench.get("deeper").await.expect(404).text().contains("No distribution"));
}

#[tokio::test]
async fn a_publication_hides_files_of_its_version() {
    let bench = Bench::start().await;
    let mut units = Vec::new();
    for name in ["d/old", "d/kept", "e/old", "f/old/deep", "f/old/kept"] {
        units.push(bench.stored(name, name).await);
    }
    let hidden = |path: &str| PublishedArtifact {
        relative_path: RelativePath::new(path).expect("a path"),
        published: Published::Nothing,
    };
    let mut rows: Vec<_> = ["d/old", "d/absent", "e/old", "f/old/deep"].map(hidden).into();
    rows.push(metadata(&bench, "d/old", "replaced").await);
    // More than a page of rows, of which only the last one is something.
    rows.extend((0..1500).map(|number| hidden(&format!("g/{number}"))));
    rows.push(metadata(&bench, "g/z", "there").await);
    bench.publish_with(&units, rows, false).await;
    bench.distribute("base").await;

    assert_eq!(bench.get("base/d/old").await.expect(200).text(), "replaced");
    assert_eq!(bench.get("base/f/old/kept").await.expect(200).text(), "f/old/kept");
    for path in ["base/d/absent", "base/e/old", "base/f/old/deep", "base/g/7"] {
        bench.get(path).await.expect(404);
    }
    let links = |page: String| {
        let links = page.split("<a href=\"./").skip(1).filter_map(|rest| rest.split_once('"'));
        links.map(|(link, _)| link.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(links(bench.get("base/d/").await.expect(200).text()), ["kept", "old"]);
    assert_eq!(links(bench.get("base/f/old/").await.expect(200).text()), ["kept"]);
    assert_eq!(links(bench.get("base/g/").await.expect(200).text()), ["z"]);
}

#[tokio::test]
async fn folders_are_listed_and_redirected_to() {
    let bench = Bench::start().await;
    let names = ["top.txt", "d/b c,d+é.txt", "d/<i>.txt", "d/e/deep.txt", "site/index.html"];
    let mut units = Vec::new();
    for name in names {
        units.push(bench.stored(name, "x".repeat(1234)).await);
    }
    let rows = vec![metadata(&bench, "d/generated", "g").await];
    bench.publish_with(&units, rows, false).await;
    bench.distribute("files").await;

    for (path, location) in
        [("files", "files/"), ("files/d", "files/d/"), ("files/d/e", "files/d/e/")]
    {
        let answer = bench.get(path).await.expect(301);
        assert_eq!(answer.header("location"), format!("/pulp/content/{location}"));
    }
    let page = bench.get("files/d/").await.expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let page = page.text();
    assert!(page.contains("<h1>Index of /files/d/</h1>") && page.contains("\"../\""), "{page}");
    for line in [
        "<a href=\"./e/\">e/</a>",
        "<a href=\"./b%20c%2Cd+%C3%A9.txt\">b c,d+é.txt</a>",
        "<a href=\"./%3Ci%3E.txt\">&lt;i&gt;.txt</a>",
        "<a href=\"./generated\">generated</a>",
    ] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
    assert!(page.contains("1.2 kB") && !page.contains("deep.txt"), "{page}");
    // What is listed can be had by its link.
    bench.get("files/d/b%20c%2Cd+%C3%A9.txt").await.expect(200);
    bench.get("files/d/%3Ci%3E.txt").await.expect(200);

    assert_eq!(bench.get("files/site/").await.expect(200).text().len(), 1234);
    bench.get("files/nowhere/").await.expect(404);
    bench.get("files/top.txt/").await.expect(404);
}

#[tokio::test]
async fn distributions_are_listed_but_for_hidden_ones() {
    let bench = Bench::start().await;
    bench.publish(&[]).await;
    bench.distribute("debian/main").await;
    bench.distribute("debian/contrib").await;
    let target = Target::Repository(bench.repository);
    bench.distribute_with("secret", target, json!({"hidden": true})).await;
    let top = bench.get("").await.expect(200).text();
    assert!(top.contains("<a href=\"./debian/\">") && !top.contains("secret"), "{top}");
    let below = bench.get("debian/").await.expect(200).text();
    assert!(below.contains("./main/") && below.contains("./contrib/"), "{below}");
    bench.get("debian").await.expect(301);
    bench.get("secret/").await.expect(200);
    assert!(bench.raw("/pulp/content").await.starts_with("HTTP/1.1 301"));
}

#[tokio::test]
async fn attempts_to_leave_the_published_tree_are_refused() {
    let bench = Bench::start().await;
    let unit = bench.stored("a", "x").await;
    bench.serve_units(&[unit]).await;
    for target in [
        "/pulp/content/files/../../../etc/passwd",
        "/pulp/content/files/%2e%2e/%2e%2e/etc/passwd",
        "/pulp/content/files/..%2f..%2fetc/passwd",
        "/pulp/content/files/a%00",
        "/pulp/content/files//a",
        "/pulp/content/%2e%2e/files/a",
        "/pulp/content/files/%ff",
    ] {
        let answer = bench.raw(target).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{target}: {answer}");
    }
    assert!(bench.raw("/pulp/content/../content/files/a").await.starts_with("HTTP/1.1 400"));
    assert!(bench.raw("/etc/passwd").await.starts_with("HTTP/1.1 404"));
    assert!(bench.raw("/pulp/content/files/%61").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let bench = Bench::start().await;
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = bench.ask(method, "files/a", &[]).await.expect(405);
        assert_eq!(answer.header("allow"), "GET, HEAD");
    }
}

#[tokio::test]
async fn what_is_published_is_visible_at_the_next_request() {
    let bench = Bench::start().await;
    bench.get("files/a").await.expect(404);
    bench.distribute("files").await;
    let text = bench.get("files/a").await.expect(404).text();
    assert!(text.contains("Repository `packages` has not been published yet"), "{text}");
    let unit = bench.stored("a", "first").await;
    bench.publish(&[unit]).await;
    assert_eq!(bench.get("files/a").await.expect(200).text(), "first");
}

/// Asks until the answer is this one, at most a second.
async fn until(bench: &Bench, path: &str, text: &str) {
    let served = async {
        while bench.get(path).await.text() != text {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("served in time");
}

#[tokio::test]
async fn files_of_a_superseded_publication_are_served_for_a_while() {
    let bench = Bench::start().await;
    let old = [bench.stored("same", "old").await, bench.stored("gone", "going").await];
    bench.serve_units(&old).await;
    assert_eq!(bench.get("files/gone").await.expect(200).text(), "going");
    let new = bench.stored("same", "new").await;
    bench.publish(&[new]).await;
    until(&bench, "files/same", "new").await;
    assert_eq!(bench.get("files/gone").await.expect(200).text(), "going");
    let page = bench.get("files/").await.expect(200).text();
    assert!(!page.contains("gone"), "{page}");
}

#[tokio::test]
async fn after_the_grace_a_superseded_publication_is_gone() {
    let settings = ServeSettings { superseded_grace: Duration::ZERO, ..ServeSettings::default() };
    let bench = Bench::with(settings, ServerSettings::default()).await;
    let old = [bench.stored("same", "old").await, bench.stored("gone", "going").await];
    bench.serve_units(&old).await;
    bench.get("files/gone").await.expect(200);
    let new = bench.stored("same", "new").await;
    bench.publish(&[new]).await;
    until(&bench, "files/same", "new").await;
    bench.get("files/gone").await.expect(404);
}

#[tokio::test]
async fn what_a_distribution_served_before_it_was_switched_is_served_for_a_while() {
    let bench = Bench::start().await;
    let old = [bench.stored("a", "one").await, bench.stored("by-hash/1", "1").await];
    let one = bench.publish(&old).await;
    let two = bench.publish(&[bench.stored("a", "two").await]).await;
    bench.distribute_with("files", Target::Publication(one), json!({})).await;
    assert_eq!(bench.get("files/a").await.expect(200).text(), "one");
    let switch = move |conn: &mut pulp_models::Connection| {
        let mut row = distribution::get(conn, "files")?;
        DistributionSettings::switch(&mut row, Target::Publication(two));
        distribution::update(conn, &row)
    };
    bench.installation.db.write(switch).await.expect("switched");
    until(&bench, "files/a", "two").await;
    assert_eq!(bench.get("files/by-hash/1").await.expect(200).text(), "1");
}

#[tokio::test]
async fn distributions_may_point_to_a_publication_a_version_or_nothing() {
    let bench = Bench::start().await;
    let one = bench.publish(&[bench.stored("a", "one").await]).await;
    bench.publish(&[bench.stored("a", "two").await]).await;
    let number = pulp_models::VersionNumber(1);
    bench.distribute_with("publication", Target::Publication(one), json!({})).await;
    bench.distribute_with("version", Target::Version(bench.repository, number), json!({})).await;
    let unpublished = Target::Version(bench.repository, pulp_models::VersionNumber(0));
    bench.distribute_with("unpublished", unpublished, json!({})).await;
    let deleted = Target::Version(bench.repository, pulp_models::VersionNumber(9));
    bench.distribute_with("deleted", deleted, json!({})).await;
    bench.distribute_with("nothing", Target::Nothing, json!({})).await;
    assert_eq!(bench.get("publication/a").await.expect(200).text(), "one");
    assert_eq!(bench.get("version/a").await.expect(200).text(), "one");
    assert!(bench.get("unpublished/a").await.expect(404).text().contains("is not published"));
    bench.get("deleted/a").await.expect(404);
    assert!(bench.get("nothing/a").await.expect(404).text().contains("points to nothing"));
}

#[tokio::test]
async fn going_back_to_an_older_publication_makes_it_new() {
    let bench = Bench::start().await;
    let one = bench.publish(&[bench.stored("a", "one").await]).await;
    let two = bench.publish(&[bench.stored("a", "two").await]).await;
    bench.distribute_with("d", Target::Publication(two), json!({})).await;
    let first = bench.get("d/a").await.expect(200);
    let point = |to: PublicationId| {
        bench.installation.db.write(move |conn| {
            let mut changed = distribution::get(conn, "d")?;
            changed.target = Target::Publication(to);
            distribution::update(conn, &changed)
        })
    };
    point(one).await.expect("changed");
    until(&bench, "d/a", "one").await;
    let second = bench.get("d/a").await.expect(200);
    let date = |text: &str| httpdate::parse_http_date(text).expect("a date");
    assert!(date(second.header("last-modified")) >= date(first.header("last-modified")));
    let known = [("if-none-match", first.header("etag"))];
    assert_eq!(bench.get_with("d/a", &known).await.expect(200).text(), "one");
}

#[tokio::test]
async fn checkpoints_are_found_by_their_time() {
    let bench = Bench::start().await;
    let target = Target::Repository(bench.repository);
    bench.distribute_with("past", target, json!({"checkpoint": true})).await;
    let kept = bench.publish_with(&[bench.stored("a b", "kept").await], Vec::new(), true).await;
    bench.publish(&[bench.stored("a b", "not kept").await]).await;
    let read = bench.installation.db.read(move |conn| publication::get(conn, kept)).await;
    let created = read.expect("there").created;
    let stamp = crate::serve::catalog::stamp(created);

    let page = bench.get("past/").await.expect(200).text();
    assert_eq!(page.matches("<a href=\"./").count(), 1, "{page}");
    assert!(page.contains(&format!("<a href=\"./{stamp}/\">")), "{page}");
    assert_eq!(bench.get(&format!("past/{stamp}/a%20b")).await.expect(200).text(), "kept");
    bench.get(&format!("past/{stamp}")).await.expect(301);
    bench.get("past").await.expect(301);

    let year = |text: &str| text[..4].parse::<i32>().expect("a year");
    let shifted = |years: i32| format!("{}{}", year(&stamp) + years, &stamp[4..]);
    for missing in [shifted(-1), shifted(1), "yesterday".into(), "20261301T000000Z".into()] {
        bench.get(&format!("past/{missing}/a%20b")).await.expect(404);
    }
    // A second later is between this checkpoint and now, once that second has begun.
    let later = crate::serve::catalog::stamp(created.plus_seconds(1));
    let between = async {
        loop {
            let answer = bench.get(&format!("past/{later}/a%20b")).await;
            if answer.status == 301 {
                break answer;
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, between).await.expect("a second passes");
    assert_eq!(answer.header("location"), format!("/pulp/content/past/{stamp}/a%20b"));
}

#[tokio::test]
async fn the_server_says_how_it_is() {
    let bench = Bench::start().await;
    assert!(bench.raw("/healthz").await.ends_with("ok\n"));
    for path in ["/status", "/pulp/api/v3/status/"] {
        let answer = bench.raw(path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("\"database_connection\":{\"connected\":true}"), "{answer}");
    }
}
