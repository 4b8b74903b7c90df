//! The rest of the command line: declarations, resources one by one, versions.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Case, Files, Lab, NAME, case, files_asked, noise};
use crate::pulp::Installation;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("apply makes what a file declares, and then nothing more", apply),
        case("a declaration with a misspelt key is refused", apply_misspelt),
        case("remote, repository, publication and distribution one by one", one_by_one),
        case("every version stays what it was", versions),
        case("uploaded files are served and replace others at their path", upload),
        case("a dry run changes nothing", dry_run),
        case("status and settings are shown", status),
        case("help says what each command does", help),
    ]
}

/// Runs a command with `--json` and takes its only line.
pub(super) fn json(pulp: &Installation, arguments: &[&str]) -> Result<Value> {
    let text = pulp.run(&[arguments, &["--json"]].concat())?;
    serde_json::from_str(&text).with_context(|| format!("No JSON of {arguments:?}: `{text}`"))
}

fn apply(lab: &Lab) -> Result<()> {
    let files = Files::odd();
    let url = files.put(&lab.upstream);
    let folder = lab.pulp.home().with_file_name("pulp.yaml");
    let file = folder.to_string_lossy();
    let text = format!(
        "repositories:\n\
         - name: {NAME}\n  plugin: file\n  url: {url}\n  policy: on_demand\n\
         - name: second\n  plugin: file\n  url: {url}\n  mirror: true\n"
    );
    fs::write(&folder, &text)?;
    let check = ["apply", "--check", &file];
    let (code, _) = lab.pulp.run_failing(&check)?;
    ensure!(code == 6, "Exit code {code} for a difference, expected 6");
    let remotes = json(&lab.pulp, &["file", "remote", "list"])?;
    ensure!(remotes == Value::Array(Vec::new()), "A check made {remotes}");

    let applied = json(&lab.pulp, &["apply", &file])?;
    let count = applied["changes"].as_array().map(Vec::len);
    ensure!(count == Some(6), "Not two remotes, repositories and distributions: {applied}");
    for arguments in [&["apply", &file][..], &check] {
        let again = json(&lab.pulp, arguments)?;
        ensure!(again["changes"] == Value::Array(Vec::new()), "Applied, but: {again}");
    }
    lab.pulp.run(&["sync", "--all"])?;
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()?;

    fs::write(&folder, text.replace("on_demand", "immediate"))?;
    let changed = json(&lab.pulp, &["apply", &file])?;
    let first = &changed["changes"][0];
    ensure!(first["action"] == "update" && first["kind"] == "remote", "Not updated: {changed}");
    ensure!(first["fields"] == serde_json::json!(["policy"]), "Not the policy alone: {changed}");
    Ok(())
}

fn apply_misspelt(lab: &Lab) -> Result<()> {
    let path = lab.pulp.home().with_file_name("pulp.yaml");
    let file = path.to_string_lossy();
    let text =
        "repositories:\n- name: a\n  plugin: file\n  url: http://127.0.0.1:9/x\n  polcy: x\n";
    fs::write(&path, text)?;
    let (code, error) = lab.pulp.run_failing(&["apply", &file])?;
    ensure!(code == 2, "Exit code {code}, expected 2");
    for word in ["polcy", "policy", "line 5"] {
        ensure!(error.contains(word), "`{word}` does not stand in the error:\n{error}");
    }
    Ok(())
}

fn one_by_one(lab: &Lab) -> Result<()> {
    let files = Files::odd();
    let url = files.put(&lab.upstream);
    let pulp = &lab.pulp;
    let remote = ["file", "remote", "create", "--name", "r", "--url", &url];
    pulp.run(&[&remote[..], &["--policy", "on_demand"]].concat())?;
    pulp.run(&["file", "repository", "create", "--name", "repo", "--remote", "r"])?;
    let summary = json(pulp, &["file", "repository", "sync", "--name", "repo"])?;
    ensure!(summary["version"] == 1 && summary["added"] == 6, "Not synchronised: {summary}");
    pulp.run(&["file", "publication", "create", "--repository", "repo"])?;
    let target = ["--base-path", NAME, "--repository", "repo"];
    pulp.run(&[&["file", "distribution", "create", "--name", "d"][..], &target].concat())?;
    let serving = pulp.serve()?;
    files.are_served_by(&serving)?;

    pulp.run(&["file", "remote", "update", "--name", "r", "--policy", "immediate"])?;
    let remote = json(pulp, &["file", "remote", "show", "--name", "r"])?;
    ensure!(remote["policy"] == "immediate" && remote["url"] == url, "Not updated: {remote}");
    let of = ["--repository", "repo"];
    for (kind, more) in
        [("remote", &[][..]), ("repository", &[]), ("publication", &of), ("distribution", &[])]
    {
        let listed = json(pulp, &[&["file", kind, "list"], more].concat())?;
        let count = listed.as_array().map(Vec::len);
        ensure!(count == Some(1), "`file {kind} list` shows {listed}");
    }
    let (code, error) = pulp.run_failing(&["file", "repository", "show", "--name", "nothing"])?;
    ensure!(code == 4 && error.contains("`nothing`"), "Exit code {code}: {error}");
    let (code, _) = pulp.run_failing(&remote_again(&url))?;
    ensure!(code == 5, "Exit code {code} for a name that is taken, expected 5");

    pulp.run(&["file", "distribution", "destroy", "--name", "d"])?;
    let reply = serving.get(NAME, "plain.txt")?;
    ensure!(reply.status == 404, "Status {} without a distribution", reply.status);
    pulp.run(&["file", "repository", "destroy", "--name", "repo"])?;
    let listed = json(pulp, &["file", "repository", "list"])?;
    ensure!(listed == Value::Array(Vec::new()), "Still there: {listed}");
    pulp.run(&["file", "remote", "destroy", "--name", "r"])?;
    serving.stop()?;

    pulp.run(&[&remote_again(&url)[..], &["--policy", "on_demand"]].concat())?;
    pulp.run(&["file", "repository", "create", "--name", "repo", "--remote", "r"])?;
    // Other bytes than those that were fetched above.
    lab.upstream.put("one/PULP_MANIFEST", format!("a,{},1\n", "0".repeat(64)));
    let url = lab.upstream.url("one/PULP_MANIFEST");
    pulp.run(&["file", "remote", "update", "--name", "r", "--url", &url])?;
    pulp.run(&["file", "repository", "sync", "--name", "repo"])?;
    pulp.run(&["file", "repository", "destroy", "--name", "repo"])?;
    let destroy = ["file", "remote", "destroy", "--name", "r"];
    let (code, error) = pulp.run_failing(&destroy)?;
    ensure!(code == 5 && error.contains("`--force`"), "Exit code {code}: {error}");
    pulp.run(&[&destroy[..], &["--force"]].concat())?;
    Ok(())
}

fn remote_again(url: &str) -> [&str; 7] {
    ["file", "remote", "create", "--name", "r", "--url", url]
}

fn versions(lab: &Lab) -> Result<()> {
    let mut files = Files::odd();
    let url = files.put(&lab.upstream);
    let more = ["--policy", "on_demand", "--mirror"];
    lab.pulp.mirror(&url, NAME, &more)?;
    let first = files.clone();
    for _ in 0..2 {
        files.0.remove(0);
        files.put(&lab.upstream);
        lab.pulp.mirror(&url, NAME, &more)?;
    }
    let version = ["file", "repository", "version"];
    let of = ["--repository", NAME];
    let counts = |pulp: &Installation| -> Result<Vec<(u64, u64)>> {
        let listed = json(pulp, &[&version[..], &["list"], &of].concat())?;
        let all = listed.as_array().context("No list of versions")?.iter();
        let mut counts: Vec<_> = all
            .map(|version| {
                let files = version["present"]["file.file"].as_u64().unwrap_or_default();
                (version["number"].as_u64().unwrap_or_default(), files)
            })
            .collect();
        counts.sort_unstable();
        Ok(counts)
    };
    let before = counts(&lab.pulp)?;
    ensure!(before == [(0, 0), (1, 6), (2, 5), (3, 4)], "Other versions: {before:?}");
    // The middle one's changes become its successor's.
    lab.pulp.run(&[&version[..], &["destroy", "--version", "2"], &of].concat())?;
    let after = counts(&lab.pulp)?;
    ensure!(after == [(0, 0), (1, 6), (3, 4)], "Other versions: {after:?}");

    // An old version is served for good.
    let update = ["file", "distribution", "update", "--name", NAME];
    lab.pulp.run(&[&update[..], &of, &["--version", "1"]].concat())?;
    let serving = lab.pulp.serve()?;
    first.are_served_by(&serving)?;
    serving.stop()
}

fn upload(lab: &Lab) -> Result<()> {
    let pulp = &lab.pulp;
    let own = ["--repository", NAME];
    let create = ["file", "repository", "create", "--name", NAME, "--autopublish"];
    pulp.run(&create)?;
    let target = ["--name", "d", "--base-path", NAME];
    pulp.run(&[&["file", "distribution", "create"][..], &target, &own].concat())?;
    let folder = tempfile::tempdir()?;
    let mut uploaded = Files(Vec::new());
    for (number, (seed, length)) in (1..).zip([(1, 10), (2, 300_000), (3, 20)]) {
        // The third takes the place of the first.
        let name = if seed == 2 { "large, with a comma.bin" } else { "größe.txt" };
        let bytes = noise(seed, length);
        let path = folder.path().join(name);
        fs::write(&path, &bytes)?;
        let path = path.to_string_lossy();
        let upload = ["file", "upload", "--prefix", "up/load", &path];
        let added = json(pulp, &[&upload[..], &own].concat())?;
        ensure!(added["version"] == number, "Not version {number}: {added}");
        let name = format!("up/load/{name}");
        uploaded.0.retain(|(known, _)| *known != name);
        uploaded.0.push((name, bytes));
        let again = json(pulp, &[&upload[..], &own].concat())?;
        ensure!(again["version"].is_null(), "The same again made a version: {again}");
    }
    let serving = pulp.serve()?;
    uploaded.are_served_by(&serving)?;
    serving.stop()?;
    let missing = ["file", "upload", "--repository", NAME, "no/such/file"];
    let (_, error) = pulp.run_failing(&missing)?;
    ensure!(error.contains("no/such/file"), "The file is not named:\n{error}");
    pulp.run(&["check"])?;
    pulp.has_no_temporary_files()
}

fn dry_run(lab: &Lab) -> Result<()> {
    let files = Files::odd();
    let url = files.put(&lab.upstream);
    let dry = lab.pulp.mirror(&url, NAME, &["--policy", "immediate", "--dry-run"])?;
    ensure!(dry.added == 6, "It would add something else: {dry:?}");
    ensure!(files_asked(lab).is_empty(), "A dry run fetched files");
    for (path, bytes) in files.0.iter().filter(|(_, bytes)| bytes.len() > 100) {
        ensure!(!lab.pulp.holds(&bytes[..64])?, "A dry run stored `{path}`");
    }
    let real = lab.pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    ensure!((real.version, real.added) == (Some(1), 6), "Not version 1: {real:?}");
    Ok(())
}

fn status(lab: &Lab) -> Result<()> {
    let url = Files::odd().put(&lab.upstream);
    lab.pulp.mirror(&url, NAME, &[])?;
    let status = json(&lab.pulp, &["status"])?;
    ensure!(status["repositories"] == 1, "Not one repository: {status}");
    let settings = lab.pulp.run(&["settings"])?;
    ensure!(
        settings.contains("environment"),
        "It does not say where the home comes from:\n{settings}"
    );
    Ok(())
}

fn help(lab: &Lab) -> Result<()> {
    for (arguments, description) in [
        (&["--help"][..], "Mirrors Debian, container and file repositories"),
        (&["mirror", "--help"], "Mirror an upstream"),
        (&["mirror", "file", "--help"], "Plain files"),
        (&["sync", "--help"], "Synchronise repositories"),
        (&["serve", "--help"], "Serve distributions"),
        (&["file", "repository", "create", "--help"], "Create a repository"),
        (&["file", "repository", "sync", "--help"], "Synchronise a repository"),
    ] {
        let text = lab.pulp.run(arguments)?;
        ensure!(text.starts_with(description), "`pulp {}`:\n{text}", arguments.join(" "));
    }
    for (plugin, place) in [("file", "/pulp/content/"), ("container", "/v2/")] {
        let text = lab.pulp.run(&[plugin, "distribution", "create", "--help"])?;
        ensure!(text.contains(&format!("served below {place}\n")), "Of {plugin}:\n{text}");
    }
    Ok(())
}
