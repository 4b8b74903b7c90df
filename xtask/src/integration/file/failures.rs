//! What goes wrong upstream or on the command line, and what is said about it.

use std::net::TcpListener;

use anyhow::{Result, ensure};

use super::{Case, Files, Lab, NAME, case, files_asked, noise};
use crate::{pulp, upstream::Fault};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("an upstream that is down is named", down),
        case("a list that is not there is named with its status", missing_list),
        case("a file that is corrupt fails the sync and is named", corrupt),
        case("a transfer that breaks is resumed where it broke", resumed),
        case("an overloaded upstream is asked again", overloaded),
        case("two files at one path are refused with both lines", contradiction),
        case("paths that climb out are refused with their line", climbing),
        case("a page that is no list is refused", no_list),
        case("misspelt options and URLs are explained", misspelt),
        case("a password in a URL is never printed", password),
    ]
}

/// Runs a mirror that must fail; its standard error must hold all of `words`.
fn refused(lab: &Lab, url: &str, more: &[&str], words: &[&str]) -> Result<String> {
    let mut arguments = vec!["mirror", "file", url, "--name", NAME, "--json"];
    arguments.extend(more);
    let (_, text) = lab.pulp.run_failing(&arguments)?;
    for word in words {
        ensure!(text.contains(word), "`{word}` does not stand in the error:\n{text}");
    }
    ensure!(!text.contains("panicked"), "It panicked:\n{text}");
    lab.pulp.has_no_temporary_files()?;
    Ok(text)
}

fn down(lab: &Lab) -> Result<()> {
    // A port that nobody listens on: taken once, and given back.
    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let url = format!("http://{address}/some/PULP_MANIFEST");
    refused(lab, &url, &[], &[&url]).map(drop)
}

fn missing_list(lab: &Lab) -> Result<()> {
    let url = lab.upstream.url("nowhere/PULP_MANIFEST");
    refused(lab, &url, &[], &[&url, "404"])?;
    let asked = lab.upstream.take_log();
    ensure!(asked.len() == 1, "A 404 was asked for again: {asked:?}");
    Ok(())
}

fn corrupt(lab: &Lab) -> Result<()> {
    let mut files = Files::many(20);
    files.0.push(("bad, file.iso".to_owned(), noise(99, 300_000)));
    let url = files.put(&lab.upstream);
    lab.upstream.plan("bad, file.iso", 50, &Fault::FlippedEnd);
    let digest = pulp::sha256(&files.0[20].1);
    let words = ["bad,%20file.iso", digest.as_str()];
    refused(lab, &url, &["--policy", "immediate"], &words)?;
    ensure!(!lab.pulp.holds(&files.0[20].1[1000..1064])?, "The corrupt file was stored");
    lab.upstream.heal();
    lab.upstream.take_log();
    let mirrored = lab.pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    ensure!((mirrored.version, mirrored.added) == (Some(1), 21), "Not version 1: {mirrored:?}");
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()
}

fn resumed(lab: &Lab) -> Result<()> {
    let files = Files::one("large.img", noise(1, 1_000_000));
    let url = files.put(&lab.upstream);
    lab.upstream.plan("large.img", 1, &Fault::CutAfter(600_000));
    lab.pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    let asked = files_asked(lab);
    ensure!(asked.len() == 2, "Upstream was asked for {asked:?}");
    let range = asked[1].range.as_deref().unwrap_or_default();
    ensure!(range.starts_with("bytes=") && range != "bytes=0-", "Not resumed: {asked:?}");
    ensure!(asked[1].status == 206, "Not resumed: {asked:?}");
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()
}

fn overloaded(lab: &Lab) -> Result<()> {
    let files = Files::one("a", noise(1, 1000));
    let url = files.put(&lab.upstream);
    lab.upstream.plan("PULP_MANIFEST", 1, &Fault::Status(503));
    lab.upstream.plan("a", 1, &Fault::Status(429));
    lab.pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    let statuses: Vec<_> = lab.upstream.take_log().iter().map(|seen| seen.status).collect();
    ensure!(statuses == [503, 200, 429, 200], "Upstream answered {statuses:?}");
    Ok(())
}

fn contradiction(lab: &Lab) -> Result<()> {
    let files = Files(vec![
        ("a".to_owned(), noise(1, 10)),
        ("b".to_owned(), noise(2, 10)),
        ("a".to_owned(), noise(3, 10)),
    ]);
    let url = files.put(&lab.upstream);
    refused(lab, &url, &["--policy", "on_demand"], &[&url, "`a`", "line 1", "line 3"]).map(drop)
}

fn climbing(lab: &Lab) -> Result<()> {
    let files =
        Files(vec![("a".to_owned(), noise(1, 10)), ("../../escaped".to_owned(), noise(2, 10))]);
    let url = files.put(&lab.upstream);
    refused(lab, &url, &["--policy", "immediate"], &[&url, "line 2", "../../escaped"]).map(drop)
}

fn no_list(lab: &Lab) -> Result<()> {
    lab.upstream.put("PULP_MANIFEST", "<!doctype html>\n<title>Please log in</title>\n");
    let url = lab.upstream.url("PULP_MANIFEST");
    refused(lab, &url, &[], &[&url, "line 1"])?;
    lab.upstream.put("files", "Please log in\n");
    let url = lab.upstream.url("files");
    refused(lab, &url, &[], &[&url, "Please log in"]).map(drop)
}

fn misspelt(lab: &Lab) -> Result<()> {
    let url = Files::odd().put(&lab.upstream);
    let text = refused(lab, &url, &["--polcy", "immediate"], &["--policy"])?;
    ensure!(!text.contains("requests"), "Something was done before:\n{text}");
    refused(lab, &url, &["--policy", "imediate"], &["immediate", "on_demand", "streamed"])?;
    refused(lab, "htp://host/PULP_MANIFEST", &[], &["htp", "http"])?;
    refused(lab, "PULP_MANIFEST", &[], &["PULP_MANIFEST"])?;
    let (code, _) = lab.pulp.run_failing(&["mirrors"])?;
    ensure!(code == 2, "Exit code {code} for an unknown command, expected 2");
    ensure!(lab.upstream.take_log().is_empty(), "Upstream was asked");
    Ok(())
}

fn password(lab: &Lab) -> Result<()> {
    let url = lab.upstream.url("nowhere/PULP_MANIFEST").replace("http://", "http://me:sesame@");
    let arguments = ["mirror", "file", &url, "--name", NAME];
    let output = lab.pulp.try_run(&arguments)?;
    ensure!(!output.status.success(), "A list that is not there was mirrored");
    let all = output.stdout + &output.stderr;
    ensure!(!all.contains("sesame"), "The password was printed:\n{all}");
    Ok(())
}
