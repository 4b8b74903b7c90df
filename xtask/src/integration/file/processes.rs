//! Processes that die, that live side by side, that are asked to end.

use std::{sync::Arc, thread, time::Duration};

use anyhow::{Result, bail, ensure};

use super::{Case, Files, Lab, NAME, case, files_asked, noise};
use crate::{
    client,
    pulp::{Mirrored, content_path},
    run::{Output, PATIENCE},
    upstream::{Fault, Gate},
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("a sync killed halfway is resumed with what it had stored", killed),
        case("temporary files of a killed process are cleaned up", litter),
        case("two processes and a server work side by side", side_by_side),
        case("two syncs of one repository exclude each other", same_repository),
        case("serve ends in time although a client waits", ends_in_time),
        case("the home can be given as an option", home_option),
    ]
}

fn killed(lab: &Lab) -> Result<()> {
    const COUNT: u64 = 1500;
    let mut files = Files::many(COUNT);
    files.0.push(("zz-last".to_owned(), noise(COUNT + 1, 1000)));
    let url = files.put(&lab.upstream);
    let gate = Arc::new(Gate::default());
    lab.upstream.plan("zz-last", 1, &Fault::Held(Arc::clone(&gate)));
    let arguments = ["mirror", "file", &url, "--name", NAME, "--policy", "immediate", "--json"];
    let running = lab.pulp.start(&arguments)?;
    gate.wait_for_arrivals(1)?;
    // Everything but the last file comes; some of it is stored, batch by batch.
    wait_until_quiet(lab)?;
    running.kill()?;
    gate.open();
    lab.upstream.take_log();

    let mirrored = Mirrored::parse(&lab.pulp.run(&arguments)?)?;
    ensure!(mirrored.version == Some(1), "Not version 1: {mirrored:?}");
    ensure!(mirrored.added == COUNT + 1, "Not everything came: {mirrored:?}");
    let again = files_asked(lab).len() as u64;
    ensure!(again <= COUNT - 500, "{again} of {COUNT} files were fetched again");
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

/// Waits until the installation stores files and then no more of them.
fn wait_until_quiet(lab: &Lab) -> Result<()> {
    let mut before = 0;
    for _ in 0..100 {
        thread::sleep(Duration::from_millis(500));
        let now = lab.pulp.files("")?.len();
        if now == before && now > 500 {
            return Ok(());
        }
        before = now;
    }
    bail!("Nothing was stored while one file was missing: {before} files in the home")
}

fn litter(lab: &Lab) -> Result<()> {
    let files = Files::one("large", noise(1, 3_000_000));
    let url = files.put(&lab.upstream);
    let gate = Arc::new(Gate::default());
    lab.upstream.plan("large", 1, &Fault::Held(Arc::clone(&gate)));
    let arguments = ["mirror", "file", &url, "--name", NAME, "--policy", "immediate", "--json"];
    let running = lab.pulp.start(&arguments)?;
    gate.wait_for_arrivals(1)?;
    running.kill()?;
    gate.open();
    let mirrored = Mirrored::parse(&lab.pulp.run(&arguments)?)?;
    ensure!(mirrored.version == Some(1), "Not version 1: {mirrored:?}");
    lab.pulp.has_no_temporary_files()
}

fn side_by_side(lab: &Lab) -> Result<()> {
    let files = Files::many(1200);
    let url = files.put(&lab.upstream);
    // The database is there before they begin.
    let serving = lab.pulp.serve()?;
    let names = ["one", "two", NAME];
    let running = names.map(|name| {
        lab.pulp.start(&["mirror", "file", &url, "--name", name, "--policy", "immediate", "--json"])
    });
    for running in running {
        let Output { status, stdout, stderr } = running?.finish(PATIENCE)?;
        ensure!(status.success(), "One of them ended with {status}\n{stderr}");
        let mirrored = Mirrored::parse(&stdout)?;
        ensure!(mirrored.added == 1200, "Not everything came: {mirrored:?}");
    }
    files.are_served_by(&serving)?;
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

fn same_repository(lab: &Lab) -> Result<()> {
    let files = Files::one("a", noise(1, 100_000));
    let url = files.put(&lab.upstream);
    let gate = Arc::new(Gate::default());
    lab.upstream.plan("a", 1, &Fault::Held(Arc::clone(&gate)));
    let arguments = ["mirror", "file", &url, "--name", NAME, "--policy", "immediate", "--json"];
    let first = lab.pulp.start(&arguments)?;
    gate.wait_for_arrivals(1)?;
    let second = lab.pulp.start(&arguments)?;
    // Time enough to do something wrong.
    thread::sleep(Duration::from_secs(1));
    gate.open();
    let first = first.finish(PATIENCE)?;
    ensure!(first.status.success(), "The first was disturbed:\n{}", first.stderr);
    ensure!(Mirrored::parse(&first.stdout)?.version == Some(1), "Not version 1: {}", first.stdout);
    // The second waits its turn or says why it cannot; either way it makes nothing up.
    let second = second.finish(PATIENCE)?;
    if second.status.success() {
        let version = Mirrored::parse(&second.stdout)?.version;
        ensure!(version.is_none(), "A second version of the same: {}", second.stdout);
    } else {
        ensure!(second.stderr.contains(NAME), "It does not say why:\n{}", second.stderr);
    }
    lab.pulp.has_no_temporary_files()
}

fn ends_in_time(lab: &Lab) -> Result<()> {
    let files = Files::one("a", noise(1, 1_000_000));
    let url = files.put(&lab.upstream);
    lab.pulp.mirror(&url, NAME, &["--policy", "on_demand"])?;
    let gate = Arc::new(Gate::default());
    lab.upstream.plan("a", 5, &Fault::Held(Arc::clone(&gate)));
    let serving = lab.pulp.serve()?;
    let waiting = client::send(serving.address, "GET", &content_path(NAME, "a"), &[])?;
    gate.wait_for_arrivals(1)?;
    serving.stop()?;
    gate.open();
    drop(waiting);
    lab.pulp.has_no_temporary_files()
}

fn home_option(lab: &Lab) -> Result<()> {
    let url = Files::odd().put(&lab.upstream);
    let other = lab.pulp.home().with_file_name("other");
    let home = other.to_string_lossy();
    lab.pulp.run(&["--home", &home, "mirror", "file", &url, "--name", NAME, "--json"])?;
    ensure!(other.is_dir(), "Nothing lies in the folder that was named");
    ensure!(lab.pulp.files("")?.is_empty(), "Something lies in the folder of the environment");
    Ok(())
}
