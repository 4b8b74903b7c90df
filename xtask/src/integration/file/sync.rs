//! What a sync brings: under every policy, from every kind of list, again and changed.

use std::process::Command;

use anyhow::{Result, ensure};

use super::{Case, Files, Lab, NAME, case, files_asked, noise};
use crate::{
    client,
    pulp::{self, Mirrored, content_path},
};

pub(super) fn cases() -> Vec<Case> {
    let needs_curl = |name, run| Case { name, needs: &["curl"], run };
    vec![
        needs_curl("immediate: every byte served is upstream's", |lab| equal(lab, "immediate")),
        needs_curl("on_demand: every byte served is upstream's", |lab| equal(lab, "on_demand")),
        needs_curl("streamed: every byte served is upstream's", |lab| equal(lab, "streamed")),
        case("an unchanged upstream costs one request and makes no version", unchanged),
        case("an additive sync keeps what upstream removed, a mirroring one does not", removal),
        case("another digest at a path replaces the old file", replacement),
        case("on_demand becomes immediate with the next sync", on_demand_to_immediate),
        case("a Metalink's mirrors are tried in order", metalink),
        case("a list of SHA-256 checksums is enough", checksums),
        case("an empty upstream is a repository too", empty),
    ]
}

fn equal(lab: &Lab, policy: &str) -> Result<()> {
    let files = Files::odd();
    let url = files.put(&lab.upstream);
    let mirrored = lab.pulp.mirror(&url, NAME, &["--policy", policy])?;
    let count = files.0.len() as u64;
    ensure!(mirrored.repository == NAME, "Another repository: {mirrored:?}");
    ensure!((mirrored.version, mirrored.added) == (Some(1), count), "No version 1: {mirrored:?}");
    ensure!(mirrored.removed == 0, "Something was removed: {mirrored:?}");
    let total: usize = files.0.iter().map(|(_, bytes)| bytes.len()).sum();
    let list = files.manifest().len();
    let (requests, bytes) = match policy {
        "immediate" => (count + 1, total + list),
        _ => (1, list),
    };
    let asked = lab.upstream.take_log().len() as u64;
    ensure!(asked == requests, "Upstream was asked {asked} times instead of {requests}");
    ensure!(mirrored.requests == requests, "It counted otherwise: {mirrored:?}");
    let downloaded = mirrored.downloaded_bytes;
    // Whether the list's own bytes count is not fixed.
    ensure!(
        [bytes, bytes - list].iter().any(|bytes| *bytes as u64 == downloaded),
        "It downloaded {bytes} bytes, but says {downloaded}"
    );
    ensure!(mirrored.duration_ms < 60_000, "It took too long: {mirrored:?}");
    ensure!(mirrored.served_at.contains(NAME), "It is served elsewhere: {mirrored:?}");

    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    let (path, bytes) = &files.0[3];
    let url = format!("http://{}{}", serving.address, content_path(NAME, path));
    let curl = Command::new("curl").args(["-fsS", "--noproxy", "*", &url]).output()?;
    ensure!(curl.status.success() && curl.stdout == *bytes, "curl fetched something else");
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

fn unchanged(lab: &Lab) -> Result<()> {
    let url = Files::odd().put(&lab.upstream);
    for policy in ["immediate", "on_demand"] {
        let name = format!("unchanged-{policy}");
        let first = lab.pulp.mirror(&url, &name, &["--policy", policy])?;
        ensure!(first.version == Some(1), "No version 1: {first:?}");
        lab.upstream.take_log();
        let second = lab.pulp.mirror(&url, &name, &["--policy", policy])?;
        let asked = lab.upstream.take_log();
        ensure!(asked.len() == 1, "Upstream was asked for {asked:?}");
        ensure!(second.version.is_none(), "Nothing changed, but: {second:?}");
        ensure!((second.added, second.removed) == (0, 0), "Nothing changed, but: {second:?}");
        ensure!(second.present == 6, "Not everything is present: {second:?}");
    }
    lab.pulp.has_no_temporary_files()
}

fn removal(lab: &Lab) -> Result<()> {
    let mut files = Files::odd();
    let url = files.put(&lab.upstream);
    lab.pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    let (gone, _) = files.0.remove(0);
    files.put(&lab.upstream);

    let additive = lab.pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    ensure!((additive.version, additive.removed) == (None, 0), "Not additive: {additive:?}");
    ensure!(listed(lab)?.contains(&gone), "`{gone}` is gone after an additive sync");

    let mirroring = lab.pulp.mirror(&url, NAME, &["--policy", "immediate", "--mirror"])?;
    ensure!((mirroring.version, mirroring.removed) == (Some(2), 1), "Not removed: {mirroring:?}");
    ensure!(!listed(lab)?.contains(&gone), "`{gone}` is still listed");
    Ok(())
}

/// The manifest that is served.
fn listed(lab: &Lab) -> Result<String> {
    let serving = lab.pulp.serve()?;
    let manifest = serving.get(NAME, "PULP_MANIFEST")?.expect(200)?;
    serving.stop()?;
    Ok(String::from_utf8(manifest.body)?)
}

fn replacement(lab: &Lab) -> Result<()> {
    let before = Files::one("a/b", noise(1, 1000));
    let url = before.put(&lab.upstream);
    lab.pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    let after = Files::one("a/b", noise(2, 2000));
    after.put(&lab.upstream);
    let mirrored = lab.pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    let Mirrored { version, added, removed, .. } = mirrored;
    ensure!((version, added, removed) == (Some(2), 1, 1), "Not replaced: {mirrored:?}");
    let serving = lab.pulp.serve()?;
    after.are_served_by(&serving)?;
    let lines = serving.get(NAME, "PULP_MANIFEST")?.expect(200)?.body;
    ensure!(lines == after.manifest().as_bytes(), "The served manifest names something else");
    serving.stop()
}

fn on_demand_to_immediate(lab: &Lab) -> Result<()> {
    let files = Files::odd();
    let url = files.put(&lab.upstream);
    lab.pulp.mirror(&url, NAME, &["--policy", "on_demand"])?;
    ensure!(files_asked(lab).is_empty(), "A file was fetched before anybody asked");
    let mirrored = lab.pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    ensure!(mirrored.version.is_none(), "The files are the same, but: {mirrored:?}");
    ensure!(files_asked(lab).len() == files.0.len(), "Not every file was fetched");
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    ensure!(files_asked(lab).is_empty(), "A file was fetched again");
    serving.stop()
}

fn metalink(lab: &Lab) -> Result<()> {
    let files = Files::odd();
    let element = |(path, bytes): &(String, Vec<u8>)| {
        let name = path.replace('&', "&amp;").replace('\'', "&apos;").replace('<', "&lt;");
        let good = lab.upstream.url(&format!("mirror/{path}"));
        let gone = lab.upstream.url(&format!("gone/{path}"));
        lab.upstream.put(&format!("mirror/{path}"), bytes.clone());
        format!(
            "<file name='{name}'><size>{}</size><hash type='sha-256'>{}</hash>\
             <url priority='2'>{good}</url><url priority='1'>{gone}</url></file>",
            bytes.len(),
            pulp::sha256(bytes)
        )
    };
    let elements: Vec<_> = files.0.iter().map(element).collect();
    let text = format!(
        "<?xml version='1.0'?><metalink xmlns='urn:ietf:params:xml:ns:metalink'>{}</metalink>",
        elements.concat()
    );
    lab.upstream.put("all.meta4", text);
    let url = lab.upstream.url("all.meta4");
    let mirrored = lab.pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    ensure!(mirrored.added == files.0.len() as u64, "Not everything came: {mirrored:?}");
    let asked = lab.upstream.take_log();
    let gone = asked.iter().position(|seen| seen.path == "gone/plain.txt");
    let good = asked.iter().position(|seen| seen.path == "mirror/plain.txt");
    ensure!(gone.is_some() && gone < good, "The mirrors were not tried in order: {asked:?}");
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()
}

fn checksums(lab: &Lab) -> Result<()> {
    let files = Files::odd();
    files.put(&lab.upstream);
    lab.upstream.put("SHA256SUMS", files.checksums());
    let url = lab.upstream.url("SHA256SUMS");
    for policy in ["on_demand", "immediate"] {
        lab.pulp.mirror(&url, NAME, &["--policy", policy])?;
        let serving = lab.pulp.serve()?;
        files.are_served_by(&serving)?;
        serving.stop()?;
    }
    lab.pulp.has_no_temporary_files()
}

fn empty(lab: &Lab) -> Result<()> {
    let url = Files(Vec::new()).put(&lab.upstream);
    let mirrored = lab.pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    ensure!((mirrored.added, mirrored.present) == (0, 0), "Files from nowhere: {mirrored:?}");
    let serving = lab.pulp.serve()?;
    let reply = serving.get(NAME, "nothing")?;
    ensure!(reply.status == 404, "Status {} for a file that is not there", reply.status);
    let reply = client::get(serving.address, "/pulp/content/no/such/repository")?;
    ensure!(reply.status == 404, "Status {} for an unknown base path", reply.status);
    serving.stop()
}
