//! The client against a scripted server that answers as Pulp does.

use std::sync::{Arc, Mutex};

use super::*;
use crate::{
    bench::{cases::CASES, remains::Remains},
    server::{Answer, Request, Server, Service, lock},
    upstream::Upstream,
};

/// Answers every request in the same way, and remembers them.
#[derive(Default)]
struct Scripted {
    seen: Mutex<Vec<String>>,
    /// Whether syncs fail.
    broken: bool,
}

impl Service for Scripted {
    fn answer(&self, request: &Request) -> Answer {
        let Request { method, path, body, .. } = request;
        if method != "GET" {
            let body = String::from_utf8_lossy(body);
            lock(&self.seen).push(format!("{method} {path} {body}"));
        }
        assert_eq!(request.header("authorization"), Some("Basic YTpi"));
        let path = path.trim_start_matches(API);
        let asynchronous =
            method == "DELETE" || path.contains("sync/") || path.contains("cleanup/");
        let answer = if path == "status/" {
            json!({ "versions": [{ "component": "core", "version": "3.1" }] })
        } else if path == "workers/" {
            json!({ "results": [{ "name": "1@elsewhere" }] })
        } else if path.starts_with("tasks/") {
            let state = if self.broken && path.contains("sync") { "failed" } else { "completed" };
            json!({
                "state": state, "started_at": "2026-11-27T23:59:59.5Z",
                "finished_at": "2026-11-28T00:00:01.000000Z",
            })
        } else if asynchronous {
            json!({ "task": format!("{API}tasks/{path}") })
        } else {
            json!({ "pulp_href": format!("http://pulp.example{API}{path}1/") })
        };
        Answer::new(if asynchronous { 202 } else { 200 }, answer.to_string())
    }
}

/// Runs a case; returns the sample and what the server was told to do.
fn run(case: &str, broken: bool) -> (Result<Sample>, Vec<String>) {
    let service = Arc::new(Scripted { broken, ..Scripted::default() });
    let server = Server::start(Arc::clone(&service)).expect("it starts");
    let pulp = PulpServer::find(&format!("http://a:b@{}/", server.address())).expect("it answers");
    assert_eq!(pulp.name(), "Pulp 3.1");
    let case = CASES.iter().find(|known| known.name == case).expect("it is a case");
    let folder = tempfile::tempdir().expect("a folder");
    let scene = Scene {
        upstream: Upstream::start().expect("it starts"),
        elsewhere: Some("http://up.example/".into()),
        data: folder.path().to_owned(),
        backend: Backend::Sqlite,
        quick: false,
        remains: Remains::default(),
    };
    let words = Words::new(case, &scene, folder.path()).expect("filled");
    let sample = pulp.run(case, &scene, &words);
    let mut seen = std::mem::take(&mut *lock(&service.seen));
    for line in &mut seen {
        // Names tell the time.
        if let Some((before, rest)) = line.split_once("bench-") {
            *line = format!("{before}bench{}", rest.trim_start_matches(char::is_numeric));
        }
    }
    (sample, seen)
}

#[test]
fn a_case_is_made_done_and_removed() {
    let (sample, seen) = run("deb/forced", false);
    let sample = sample.expect("it completes");
    assert!((sample.wall - 1.5).abs() < 1e-6 && sample.cpu.is_none(), "{sample:?}");
    let repository = "/pulp/api/v3/repositories/deb/apt/1/";
    let remote = "/pulp/api/v3/remotes/deb/apt/1/";
    let orphans = r#"POST /pulp/api/v3/orphans/cleanup/ {"orphan_protection_time":0}"#;
    let sync = |optimize: bool| {
        format!(
            r#"POST {repository}sync/ {{"mirror":true,"optimize":{optimize},"remote":"{remote}"}}"#
        )
    };
    let expected = [
        orphans,
        r#"POST /pulp/api/v3/remotes/deb/apt/ {"architectures":"amd64","components":"main","distributions":"bookworm","name":"bench","policy":"on_demand","url":"http://up.example/debian/"}"#,
        r#"POST /pulp/api/v3/repositories/deb/apt/ {"name":"bench"}"#,
        &sync(true),
        &sync(false),
        &format!("DELETE {remote} "),
        &format!("DELETE {repository} "),
        orphans,
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_a_failed_run_made_is_removed() {
    let (sample, seen) = run("container/immediate", true);
    let error = sample.expect_err("the sync fails").to_string();
    assert!(error.contains("did not complete"), "{error}");
    let removed = seen.iter().filter(|line| line.starts_with("DELETE")).count();
    assert!(!seen.iter().any(|line| line.contains("optimize")), "{seen:?}");
    assert!(removed == 2 && seen.last().is_some_and(|line| line.contains("orphans")), "{seen:?}");
}

#[test]
fn every_case_of_a_plugin_has_something_to_mirror() {
    for case in CASES.iter().filter(|case| PulpServer::takes_part(case)) {
        let plugins = ["file/", "deb/", "container/"];
        assert!(plugins.iter().any(|plugin| case.name.starts_with(plugin)), "{}", case.name);
        let mut steps = case.before.to_vec();
        if let What::Step(step) = case.what {
            steps.push(step);
        }
        assert!(matches!(steps[0], Step::Mirror(_)), "{}", case.name);
    }
}
