//! What the upstream answers.

use std::thread;

use super::*;
use crate::client::request;

fn ask(upstream: &Upstream, headers: &[(&str, &str)]) -> client::Reply {
    request(upstream.server.address(), "GET", "/a%20b", headers).expect("an answer")
}

fn with_file() -> Upstream {
    let upstream = Upstream::start().expect("it starts");
    upstream.put("a b", "0123456789");
    upstream
}

#[test]
fn ranges_are_answered_as_servers_do() {
    let upstream = with_file();
    for (range, status, body) in [
        ("bytes=2-3", 206, "23"),
        ("bytes=7-", 206, "789"),
        ("bytes=-2", 206, "89"),
        ("bytes=8-99", 206, "89"),
        ("bytes=10-", 416, ""),
    ] {
        let reply = ask(&upstream, &[("Range", range)]);
        assert_eq!((reply.status, &reply.body[..]), (status, body.as_bytes()), "{range}");
    }
    assert_eq!(upstream.take_log().len(), 5);
    assert!(upstream.take_log().is_empty());
}

#[test]
fn what_is_unchanged_is_not_sent_again() {
    let upstream = with_file();
    let tag = ask(&upstream, &[]).header("etag").expect("a tag").to_owned();
    assert_eq!(ask(&upstream, &[("If-None-Match", &tag)]).status, 304);
    let other = [("Range", "bytes=2-3"), ("If-Range", "\"other\"")];
    assert_eq!(ask(&upstream, &other).status, 200);
    assert_eq!(ask(&upstream, &[("Range", "bytes=2-3"), ("If-Range", &tag)]).status, 206);
}

#[test]
fn faults_happen_as_often_as_planned() {
    let upstream = with_file();
    upstream.plan("a b", 1, &Fault::Status(503));
    upstream.plan("a b", 1, &Fault::CutAfter(4));
    upstream.plan("a b", 1, &Fault::FlippedEnd);
    assert_eq!(ask(&upstream, &[]).status, 503);
    let cut = ask(&upstream, &[]);
    assert_eq!((cut.complete, &cut.body[..]), (false, &b"0123"[..]));
    assert_ne!(ask(&upstream, &[]).body, b"0123456789");
    assert_eq!(ask(&upstream, &[]).body, b"0123456789");
    assert_eq!(
        request(upstream.server.address(), "GET", "/b", &[]).expect("an answer").status,
        404
    );
}

#[test]
fn a_gate_holds_an_answer_until_it_opens() {
    let upstream = with_file();
    let gate = Arc::new(Gate::default());
    upstream.plan("a b", 1, &Fault::Held(Arc::clone(&gate)));
    let address = upstream.server.address();
    let reader = thread::spawn(move || client::get(address, "/a%20b"));
    gate.wait_for_arrivals(1).expect("it arrives");
    gate.open();
    let reply = reader.join().expect("no panic").expect("an answer");
    assert_eq!(reply.body, b"0123456789");
}

#[test]
fn a_folder_is_served_beside_what_is_in_memory_and_nothing_outside_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("in")).expect("made");
    fs::write(folder.path().join("in/a"), "from disk").expect("written");
    fs::write(folder.path().join("secret"), "not for you").expect("written");
    let upstream = with_file();
    upstream.mount(&folder.path().join("in"));
    upstream.put_manifest("b", "text/x", b"typed".to_vec());
    let get = |path: &str| request(upstream.server.address(), "GET", path, &[]).expect("an answer");
    let reply = get("/a");
    assert_eq!((reply.status, &reply.body[..]), (200, &b"from disk"[..]));
    let tag = reply.header("etag").expect("a tag").to_owned();
    let again = request(upstream.server.address(), "GET", "/a", &[("If-None-Match", &tag)]);
    assert_eq!(again.expect("an answer").status, 304);
    assert_eq!(get("/b").header("content-type"), Some("text/x"));
    let digest = format!("sha256:{}", crate::pulp::sha256(b"typed"));
    assert_eq!(get("/b").header("docker-content-digest"), Some(digest.as_str()));
    assert_eq!((get("/a%20b").status, get("/../secret").status, get("/c").status), (200, 404, 404));
}
