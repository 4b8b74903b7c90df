//! What a client sees: ranges, entity tags, listings, and files that come on demand.

use std::{io::Read as _, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{Case, Files, Lab, NAME, case, files_asked, noise};
use crate::{
    client,
    pulp::{Serving, content_path},
    upstream::{Fault, Gate},
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("immediate: ranges are exact", |lab| ranges(lab, "immediate")),
        case("on_demand: ranges of files that are not here yet are exact", |lab| {
            ranges(lab, "on_demand")
        }),
        case("streamed: ranges are exact", |lab| ranges(lab, "streamed")),
        case("HEAD and conditional requests send no body", conditional),
        case("directories are listed with links that work", listing),
        case("on_demand: the first request stores, the second needs no upstream", stored_once),
        case("streamed: nothing is stored", streamed),
        case("on_demand: two clients at once ask upstream once", single_flight),
        case("on_demand: a fill survives its client", fill_survives),
        case("on_demand: corrupt bytes cut the connection and are not stored", corrupt),
    ]
}

fn mirrored(lab: &Lab, files: &Files, policy: &str) -> Result<Serving> {
    let url = files.put(&lab.upstream);
    lab.pulp.mirror(&url, NAME, &["--policy", policy])?;
    lab.upstream.take_log();
    lab.pulp.serve()
}

fn ranges(lab: &Lab, policy: &str) -> Result<()> {
    const LENGTH: usize = 200_000;
    let ranges = [
        ("bytes=0-0", Some((0, 0))),
        ("bytes=100-70000", Some((100, 70_000))),
        ("bytes=-7", Some((LENGTH - 7, LENGTH - 1))),
        ("bytes=-999999", Some((0, LENGTH - 1))),
        ("bytes=199990-", Some((199_990, LENGTH - 1))),
        ("bytes=150000-999999", Some((150_000, LENGTH - 1))),
        ("bytes=200000-", None),
        ("bytes=-0", None),
    ];
    // A file for each, so that each is the first request for its file.
    let files = Files(
        (1..).zip(&ranges).map(|(seed, _)| (format!("f{seed}"), noise(seed, LENGTH))).collect(),
    );
    let serving = mirrored(lab, &files, policy)?;
    for ((path, bytes), (range, expected)) in files.0.iter().zip(ranges) {
        // The second time, the file may have come to stay.
        for _ in 0..2 {
            let reply = serving.request("GET", NAME, path, &[("Range", range)])?;
            let header = reply.header("content-range").unwrap_or_default().to_owned();
            let Some((first, last)) = expected else {
                ensure!(reply.status == 416, "Status {} for `{range}`", reply.status);
                ensure!(header == format!("bytes */{LENGTH}"), "`{header}` for `{range}`");
                continue;
            };
            let reply = reply.expect(206).with_context(|| format!("For `{range}`"))?;
            ensure!(header == format!("bytes {first}-{last}/{LENGTH}"), "`{header}` for `{range}`");
            ensure!(reply.body == bytes[first..=last], "Other bytes for `{range}`");
        }
    }
    files.are_served_by(&serving)?;
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

fn conditional(lab: &Lab) -> Result<()> {
    let files = Files::one("a b", noise(1, 100_000));
    let serving = mirrored(lab, &files, "immediate")?;
    // The date of what is brand new says nothing: it may be replaced within the same second.
    thread::sleep(Duration::from_secs(3));
    let whole = serving.get(NAME, "a b")?.expect(200)?;
    let head = serving.request("HEAD", NAME, "a b", &[])?.expect(200)?;
    for name in ["content-length", "etag", "last-modified", "accept-ranges", "content-type"] {
        ensure!(whole.header(name).is_some(), "GET has no `{name}`");
        ensure!(head.header(name) == whole.header(name), "HEAD has another `{name}`");
    }
    ensure!(whole.header("content-length") == Some("100000"), "Another length");
    let tag = whole.header("etag").unwrap_or_default();
    let date = whole.header("last-modified").unwrap_or_default();
    for (header, status) in [
        (("If-None-Match", tag), 304),
        (("If-None-Match", "\"other\""), 200),
        (("If-Modified-Since", date), 304),
    ] {
        for method in ["GET", "HEAD"] {
            let reply = serving.request(method, NAME, "a b", &[header])?;
            ensure!(reply.status == status, "{method} with {header:?}: {}", reply.status);
        }
    }
    let stale = [("Range", "bytes=0-9"), ("If-Range", "\"other\"")];
    ensure!(serving.request("GET", NAME, "a b", &stale)?.status == 200, "A stale If-Range");
    let fresh = [("Range", "bytes=0-9"), ("If-Range", tag)];
    ensure!(serving.request("GET", NAME, "a b", &fresh)?.status == 206, "A fresh If-Range");
    serving.stop()
}

fn listing(lab: &Lab) -> Result<()> {
    let files = Files::odd();
    let serving = mirrored(lab, &files, "on_demand")?;
    for (path, bytes) in &files.0 {
        let (folder, name) =
            path.rsplit_once('/').map_or(("", path.as_str()), |(folder, name)| (folder, name));
        let slash = if folder.is_empty() { "" } else { "/" };
        let page = serving.get(NAME, &format!("{folder}{slash}"))?.expect(200)?;
        let page = String::from_utf8(page.body)?;
        let link = page
            .split("href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .map(unescape)
            .find(|link| client::decode(link).trim_start_matches("./") == name)
            .with_context(|| format!("`{folder}/` has no link to `{name}`:\n{page}"))?;
        let link = link.trim_start_matches("./");
        let folder = content_path(NAME, &format!("{folder}{slash}"));
        let reply = client::get(serving.address, &format!("{folder}{link}"))?.expect(200)?;
        ensure!(reply.body == *bytes, "The link to `{name}` leads elsewhere");
    }
    let bare = client::get(serving.address, content_path(NAME, "deep/er").as_str())?;
    ensure!(bare.status == 301, "Status {} for a folder without its slash", bare.status);
    serving.stop()
}

/// Undoes the escapes of HTML that an attribute may need.
fn unescape(text: &str) -> String {
    let text = text.replace("&quot;", "\"").replace("&#39;", "'").replace("&#x27;", "'");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn stored_once(lab: &Lab) -> Result<()> {
    let files = Files::odd();
    let serving = mirrored(lab, &files, "on_demand")?;
    files.are_served_by(&serving)?;
    let first = files_asked(lab);
    ensure!(first.len() == files.0.len(), "Upstream was asked for {first:?}");
    files.are_served_by(&serving)?;
    let second = files_asked(lab);
    ensure!(second.is_empty(), "Upstream was asked again for {second:?}");
    serving.stop()?;
    // Nor does another process need it.
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    ensure!(files_asked(lab).is_empty(), "A new server asked upstream again");
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

fn streamed(lab: &Lab) -> Result<()> {
    let files = Files(vec![("small".into(), noise(1, 500)), ("large".into(), noise(2, 500_000))]);
    let serving = mirrored(lab, &files, "streamed")?;
    for _ in 0..2 {
        files.are_served_by(&serving)?;
        let asked = files_asked(lab);
        ensure!(asked.len() == 2, "Upstream was asked for {asked:?}");
    }
    serving.stop()?;
    for (path, bytes) in &files.0 {
        ensure!(!lab.pulp.holds(&bytes[100..164])?, "`{path}` was stored");
    }
    lab.pulp.has_no_temporary_files()
}

fn single_flight(lab: &Lab) -> Result<()> {
    let files = Files::one("a", noise(1, 500_000));
    let serving = mirrored(lab, &files, "on_demand")?;
    let gate = Arc::new(Gate::default());
    lab.upstream.plan("a", 10, &Fault::Held(Arc::clone(&gate)));
    let path = content_path(NAME, "a");
    // Both requests are on their way before upstream can finish its answer to the first.
    let readers = [
        client::send(serving.address, "GET", &path, &[])?,
        client::send(serving.address, "GET", &path, &[])?,
    ];
    gate.wait_for_arrivals(1)?;
    gate.open();
    let replies = thread::scope(|scope| {
        let replies =
            readers.map(|mut reader| scope.spawn(move || client::read_reply(&mut reader, false)));
        replies.map(|reply| reply.join().expect("no reader panics"))
    });
    for reply in replies {
        ensure!(reply?.expect(200)?.body == files.0[0].1, "A client got other bytes");
    }
    let asked = files_asked(lab);
    ensure!(asked.len() == 1, "Upstream was asked for {asked:?}");
    serving.stop()
}

fn fill_survives(lab: &Lab) -> Result<()> {
    let files = Files::one("a", noise(1, 2_000_000));
    let serving = mirrored(lab, &files, "on_demand")?;
    let gate = Arc::new(Gate::default());
    lab.upstream.plan("a", 1, &Fault::Held(Arc::clone(&gate)));
    let mut reader = client::send(serving.address, "GET", &content_path(NAME, "a"), &[])?;
    gate.wait_for_arrivals(1)?;
    reader.read_exact(&mut [0; 1000]).context("No byte came while upstream was sending")?;
    drop(reader);
    gate.open();
    // Joins the fill if that still runs, else finds what it left.
    files.are_served_by(&serving)?;
    let asked = files_asked(lab);
    ensure!(asked.len() == 1, "Upstream was asked for {asked:?}");
    serving.stop()
}

fn corrupt(lab: &Lab) -> Result<()> {
    let files = Files(vec![("small".into(), noise(1, 500)), ("large".into(), noise(2, 500_000))]);
    let serving = mirrored(lab, &files, "on_demand")?;
    for (path, bytes) in &files.0 {
        lab.upstream.plan(path, 20, &Fault::FlippedEnd);
        let reply = serving.get(NAME, path);
        if let Ok(reply) = reply {
            let whole = reply.status == 200 && reply.complete;
            ensure!(!whole, "`{path}` was served whole, {} bytes", reply.body.len());
            ensure!(reply.body.len() < bytes.len(), "The last byte of `{path}` was sent");
        }
        let range = format!("bytes={}-", bytes.len() - 10);
        if let Ok(reply) = serving.request("GET", NAME, path, &[("Range", &range)]) {
            let whole = reply.status == 206 && reply.complete;
            ensure!(!whole, "The end of `{path}` was served");
        }
        ensure!(!lab.pulp.holds(&bytes[100..164])?, "The corrupt `{path}` was stored");
    }
    lab.upstream.heal();
    for (path, bytes) in &files.0 {
        // The source may be on cool-down; wrong bytes are not excused.
        if let Ok(reply) = serving.get(NAME, path)
            && reply.status == 200
        {
            ensure!(reply.complete && reply.body == *bytes, "Other bytes for `{path}`");
        }
    }
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}
