//! What operators rely on: monitoring, logs, secrets that stay secret, backups.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Case, Files, Lab, NAME, case, noise};
use crate::{
    client,
    pulp::Installation,
    run::{Output, PATIENCE},
    upstream::Fault,
};

/// A secret that stands nowhere else.
const CANARY: &str = "canary-7f3a9c";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("monitoring learns of server, syncs and health", monitoring),
        case("every line of a JSON log is an object that names its task", json_logs),
        case("secrets are shown nowhere, and encrypted once there is a key", secrets),
        case("a backup made during a sync is a sound home of its own", backup),
        case("a first mirror that fails leaves nothing but its record", first_mirror_fails),
        case("task purge forgets what ended, but for the last of each kind", task_purge),
        case("sync --all goes on after a failure and sums up", sync_all),
    ]
}

/// The value of a sample.
fn sample(page: &str, name: &str) -> Result<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = line.with_context(|| format!("No `{name}` in\n{page}"))?;
    value.parse().with_context(|| format!("`{name}` is `{value}`"))
}

fn monitoring(lab: &Lab) -> Result<()> {
    let url = Files::odd().put(&lab.upstream);
    lab.pulp.mirror(&url, NAME, &[])?;
    let listen = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let mut running = lab.pulp.start(&[&["serve", "--json"], &listen[..]].concat())?;
    let ready: Value = serde_json::from_str(&running.line(PATIENCE)?)?;
    let address = |name: &str| {
        let text = ready[name].as_str().with_context(|| format!("No `{name}` in {ready}"))?;
        text.parse().with_context(|| format!("`{name}` is `{text}`"))
    };
    let (public, metrics) = (address("address")?, address("metrics_address")?);
    client::get(public, "/readyz")?.expect(200)?;
    client::get(public, "/healthz")?.expect(200)?;
    client::get(public, "/metrics")?.expect(404)?;
    client::get(public, &format!("/pulp/content/{NAME}/plain.txt"))?.expect(200)?;
    let page = client::get(metrics, "/metrics")?.expect(200)?;
    let page = String::from_utf8(page.body)?;
    let synced = format!(
        "pulp_sync_last_success_timestamp_seconds{{repository=\"{NAME}\",plugin=\"file\"}}"
    );
    ensure!(sample(&page, &synced)? > 1.7e9, "Not a time of today:\n{page}");
    let asked = sample(&page, "pulp_http_requests_total{method=\"GET\",code=\"200\"}")?;
    ensure!(asked >= 3.0, "{asked} requests counted");
    ensure!(sample(&page, "pulp_content_responses_total{source=\"store\"}")? >= 1.0, "{page}");
    running.terminate()?;
    ensure!(running.finish(PATIENCE)?.status.success(), "The server did not end well");
    Ok(())
}

fn json_logs(lab: &Lab) -> Result<()> {
    let url = Files::odd().put(&lab.upstream);
    let log = ["--log", "info", "--log-format", "json"];
    let lines = |output: &Output| {
        let parse = |line: &str| {
            serde_json::from_str::<Value>(line).with_context(|| format!("No object: `{line}`"))
        };
        output.stderr.lines().map(parse).collect::<Result<Vec<_>>>()
    };
    let mirror = ["mirror", "file", &url, "--name", NAME];
    let output = lab.pulp.try_run(&[&mirror[..], &log].concat())?;
    ensure!(output.status.success(), "{}", output.stderr);
    let done = lines(&output)?;
    let done = done.iter().find(|line| line["message"] == "A task has completed");
    let span = &done.context("No line about the end of the task")?["spans"][0];
    ensure!(span["name"] == "task" && span["repository.name"] == NAME, "Not the task: {span}");
    let id = span["task.id"].as_str().context("No id")?.to_owned();
    let task = lab.pulp.run(&["task", "show", "--id", &id, "--json"])?;
    ensure!(task.contains(&id), "Not the task's id: {task}");

    let missing = ["mirror", "file", "http://127.0.0.1:1/x", "--name", "b", "--max-retries", "0"];
    let output = lab.pulp.try_run(&[&missing[..], &log].concat())?;
    let errors = lines(&output)?;
    ensure!(!output.status.success(), "Nothing listens there");
    let error = errors.iter().find(|line| line["level"] == "ERROR").context("No error")?;
    ensure!(error["causes"].as_str().is_some_and(|causes| !causes.is_empty()), "{error}");

    let mut running =
        lab.pulp.start(&[&["serve", "--listen", "127.0.0.1:0"], &log[..]].concat())?;
    let line = running.line(PATIENCE)?;
    let address = line.split('/').nth(2).and_then(|text| text.parse().ok());
    let address = address.with_context(|| format!("No address in `{line}`"))?;
    let token = format!("/pulp/content/{NAME}/plain.txt?token={CANARY}");
    client::request(address, "GET", &token, &[("X-Request-ID", "from-proxy-1")])?.expect(200)?;
    running.terminate()?;
    let output = running.finish(PATIENCE)?;
    let access = lines(&output)?;
    let access = access.iter().find(|line| line["message"] == "Answered a request");
    let access = access.with_context(|| format!("No line: {}", output.stderr))?;
    ensure!(access["spans"][0]["request.id"] == "from-proxy-1", "Not the request's id: {access}");
    ensure!(access["status"] == 200 && access["client"] == "127.0.0.1", "{access}");
    ensure!(!output.stderr.contains(CANARY), "The query stands in the log:\n{}", output.stderr);
    Ok(())
}

fn secrets(lab: &Lab) -> Result<()> {
    let url = Files::odd().put(&lab.upstream);
    let with_password = url.replacen("http://", &format!("http://me:{CANARY}@"), 1);
    let folder = lab.pulp.home().with_file_name("secrets");
    fs::create_dir(&folder)?;
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (password, key) = (path("password"), path("key"));
    fs::write(&password, CANARY)?;
    let declared = path("pulp.yaml");
    fs::write(
        &declared,
        format!(
            "repositories:\n- name: declared\n  plugin: file\n  url: {with_password}\n  remote:\n    \
             headers:\n    - name: X-Token\n      value: {CANARY}\n    proxy_password: {CANARY}\n"
        ),
    )?;
    let header = format!("X-Token: {CANARY}");
    let remote = ["file", "remote", "update", "--name", NAME];
    let password_update = [&remote[..], &["--password-file", &password]].concat();
    let proxy_update = [&remote[..], &["--proxy-password-file", &password]].concat();
    let commands: [&[&str]; 14] = [
        &["mirror", "file", &with_password, "--name", NAME, "--header", &header],
        &["mirror", "file", &with_password, "--name", NAME],
        &["file", "remote", "create", "--name", "r", "--url", &with_password],
        &password_update,
        &proxy_update,
        &["file", "remote", "show", "--name", NAME],
        &["file", "remote", "list"],
        &["file", "repository", "show", "--name", NAME],
        &["apply", "--check", &declared],
        &["apply", &declared],
        &["apply", &declared],
        &["sync", "--all"],
        &["task", "list"],
        &["settings"],
    ];
    let run = |more: &[&str]| -> Result<()> {
        for arguments in commands {
            for json in [&[][..], &["--json"]] {
                let all = [arguments, json, more, &["--log", "trace"]].concat();
                let output = lab.pulp.try_run(&all)?;
                let text = format!("{}{}", output.stdout, output.stderr);
                ensure!(!text.contains(CANARY), "`pulp {}` shows it", all.join(" "));
            }
        }
        Ok(())
    };
    run(&[])?;
    let wrong = with_password.replacen("PULP_MANIFEST", "none", 1);
    let (_, error) = lab.pulp.run_failing(&["mirror", "file", &wrong, "--name", "wrong"])?;
    ensure!(!error.contains(CANARY), "{error}");

    ensure!(lab.pulp.stores(CANARY)?, "Without a key, secrets are stored as they are");
    lab.pulp.run(&["secret", "create-key", &key])?;
    let (code, _) = lab.pulp.run_failing(&["secret", "create-key", &key])?;
    ensure!(code == 5, "Exit code {code} for a key file that is there, expected 5");
    let keyed = ["--secret-key-file", &key];
    lab.pulp.run(&[&keyed[..], &["secret", "rotate"]].concat())?;
    ensure!(!lab.pulp.stores(CANARY)?, "The canary is still in the database");
    run(&keyed)?;
    ensure!(!lab.pulp.stores(CANARY)?, "The canary came back into the database");

    let (_, error) = lab.pulp.run_failing(&["file", "remote", "list"])?;
    for word in ["remote `", "secret_key_file", "PULP_SECRET_KEY_FILE"] {
        ensure!(error.contains(word), "`{word}` does not stand in the error:\n{error}");
    }
    let other = path("other");
    lab.pulp.run(&["secret", "create-key", &other])?;
    let (_, error) = lab.pulp.run_failing(&["--secret-key-file", &other, "status"])?;
    ensure!(error.contains("not in the key file"), "{error}");

    // A new key on top of the old one, and then alone.
    fs::write(&key, format!("{}{}", fs::read_to_string(&other)?, fs::read_to_string(&key)?))?;
    lab.pulp.run(&[&keyed[..], &["secret", "rotate"]].concat())?;
    lab.pulp.run(&["--secret-key-file", &other, "file", "remote", "list"]).map(drop)
}

fn backup(lab: &Lab) -> Result<()> {
    let files = Files::odd();
    let url = files.put(&lab.upstream);
    lab.pulp.mirror(&url, NAME, &[])?;
    lab.pulp.run(&["deb", "key", "create"])?;
    let gate = std::sync::Arc::new(crate::upstream::Gate::default());
    let slow = noise(99, 300_000);
    let list = format!("slow,{},{}\n", crate::pulp::sha256(&slow), slow.len());
    lab.upstream.put("second/slow", slow);
    lab.upstream.put("second/PULP_MANIFEST", list);
    lab.upstream.plan("second/slow", 1, &Fault::Held(std::sync::Arc::clone(&gate)));
    let second = lab.upstream.url("second/PULP_MANIFEST");
    let syncing = lab.pulp.start(&["mirror", "file", &second, "--name", "second", "--json"])?;
    gate.wait_for_arrivals(1)?;

    let folder = lab.pulp.home().with_file_name("backup");
    let text = folder.to_string_lossy().into_owned();
    if lab.pulp.dump()?.is_some() {
        let (code, error) = lab.pulp.run_failing(&["backup", &text])?;
        ensure!(code == 2 && error.contains("pg_dump"), "Exit code {code}: {error}");
        let dumped = lab.pulp.another()?;
        // The recipe: dump, back up, restore both.
        lab.pulp.copy_database(&dumped)?;
        lab.pulp.run(&["backup", "--without-database", &text])?;
        gate.open();
        syncing.finish(PATIENCE)?;
        copy_folder(&folder, dumped.home())?;
        return restored(&dumped, &files);
    }
    for copied in [true, false] {
        let done = lab.pulp.run(&["backup", &text, "--json"])?;
        let done: Value = serde_json::from_str(&done)?;
        ensure!((done["copied"] != 0) == copied && done["lost"] == 0, "Not {copied}: {done}");
    }
    gate.open();
    ensure!(syncing.finish(PATIENCE)?.status.success(), "The sync was disturbed");
    restored(&Installation::in_folder(lab.pulp.program(), &folder), &files)?;
    // What was served from it is no hindrance to the next one.
    lab.pulp.run(&["backup", &text])?;
    let (_, error) = lab.pulp.run_failing(&["backup", &lab.pulp.home().to_string_lossy()])?;
    ensure!(error.contains("neither empty nor an earlier backup"), "{error}");
    lab.pulp.has_no_temporary_files()
}

/// A restored installation has everything, serves it, and goes on.
fn restored(pulp: &Installation, files: &Files) -> Result<()> {
    pulp.run(&["check"])?;
    let key = pulp.run(&["deb", "key", "export"])?;
    ensure!(key.contains("PUBLIC KEY"), "The signing key is not in the backup: {key}");
    let serving = pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()?;
    pulp.run(&["sync", "--all"])?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let mut command = std::process::Command::new("cp");
    crate::run::output_of(command.arg("-a").arg(from.join(".")).arg(to)).map(drop)
}

fn first_mirror_fails(lab: &Lab) -> Result<()> {
    let files = Files::odd();
    let url = files.put(&lab.upstream);
    let list = |kind: &str| lab.pulp.run(&["file", kind, "list", "--json"]);
    let wrong = format!("{url}-no");
    let (code, error) = lab.pulp.run_failing(&["mirror", "file", &wrong, "--name", NAME])?;
    ensure!(code == 3, "Exit code {code}, expected 3: {error}");
    for kind in ["remote", "repository", "distribution"] {
        ensure!(list(kind)?.trim() == "[]", "A {kind} is left: {}", list(kind)?);
    }
    let tasks = lab.pulp.run(&["task", "list", "--json"])?;
    ensure!(tasks.contains("failed"), "Nothing tells of it: {tasks}");
    lab.pulp.run(&["sync", "--all"])?;

    // What was there before stays, and so does what an earlier one mirrored.
    lab.pulp.run(&["file", "remote", "create", "--name", NAME, "--url", &wrong])?;
    lab.pulp.run_failing(&["mirror", "file", &wrong, "--name", NAME])?;
    ensure!(list("remote")?.contains(NAME), "The remote was there before");
    ensure!(list("repository")?.trim() == "[]", "A repository is left");
    lab.pulp.mirror(&url, NAME, &[])?;
    lab.pulp.run_failing(&["mirror", "file", &wrong, "--name", NAME])?;
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()
}

fn task_purge(lab: &Lab) -> Result<()> {
    let url = Files::odd().put(&lab.upstream);
    for _ in 0..3 {
        lab.pulp.mirror(&url, NAME, &[])?;
    }
    lab.pulp.run_failing(&["mirror", "file", &format!("{url}-no"), "--name", "other"])?;
    let count = |more: &[&str]| -> Result<(Value, usize)> {
        let purged = lab.pulp.run(&[&["task", "purge", "--json"], more].concat())?;
        let left: Vec<Value> = serde_json::from_str(&lab.pulp.run(&["task", "list", "--json"])?)?;
        let synced =
            left.iter().filter(|task| task["name"] == "sync" && task["state"] == "completed");
        Ok((serde_json::from_str::<Value>(&purged)?["tasks"].clone(), synced.count()))
    };
    ensure!(count(&[])? == (0.into(), 3), "What is of today is forgotten");
    let later = ["--finished-before", "2999-01-01"];
    ensure!(count(&[&later[..], &["--state", "canceled"]].concat())? == (0.into(), 3), "Not asked");
    let (purged, left) = count(&later)?;
    ensure!(purged.as_u64() >= Some(2) && left == 1, "{purged} forgotten, {left} syncs are left");
    let tasks = lab.pulp.run(&["task", "list", "--json"])?;
    ensure!(tasks.contains("failed"), "The failure is forgotten: {tasks}");
    let (code, error) = lab.pulp.run_failing(&["task", "purge", "--finished-before", "soon"])?;
    ensure!(code == 2 && error.contains("`2026-01-31`"), "Exit code {code}: {error}");
    Ok(())
}

fn sync_all(lab: &Lab) -> Result<()> {
    let url = Files::odd().put(&lab.upstream);
    for name in ["a", "b", "c", "d"] {
        lab.pulp.mirror(&url, name, &[])?;
    }
    for name in ["a", "c"] {
        let remote = ["file", "remote", "update", "--name", name, "--max-retries", "0"];
        lab.pulp.run(&[&remote[..], &["--url", "http://127.0.0.1:1/x"]].concat())?;
    }
    let output = lab.pulp.try_run(&["sync", "--all", "--json"])?;
    ensure!(output.status.code() == Some(3), "Ended with {}", output.status);
    let synced = output.stdout.lines().count();
    ensure!(synced == 2, "{synced} repositories were synchronised:\n{}", output.stdout);
    let summary = "2 of 4 repositories were not synchronised: `a`, `c`";
    ensure!(output.stderr.contains(summary), "No summary:\n{}", output.stderr);
    let told = output.stderr.matches("Connection refused").count();
    ensure!(told >= 2, "Not every failure is told:\n{}", output.stderr);
    Ok(())
}
