//! Publications that replace each other under apt's hands.
//!
//! An update takes several requests; between any two of them another publication may take the
//! place of the one that it began with. Each round must end well all the same.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::{NAME, archive::Archive, client, mirror};
use crate::integration::Lab;

/// Updates on each database.
const ROUNDS: usize = 100;

/// Runs `apt-get update` in a loop while a second thread publishes in another one.
pub(super) fn updates(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    mirror(lab, &archive, &["--policy", "on_demand", "--publish", "structured"])?;
    archive.add_package("hello-doc", "1.0", "all")?;
    archive.publish(&lab.upstream)?;
    mirror(lab, &archive, &["--policy", "on_demand", "--publish", "structured"])?;
    let serving = lab.pulp.serve()?;
    let apt = client(&serving, &archive, true, &["deb"])?;
    let over = AtomicBool::new(false);
    let published = thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_until(lab, &over));
        let updated = (0..ROUNDS)
            .try_for_each(|round| apt.update().with_context(|| format!("In round {round}")));
        over.store(true, Ordering::Relaxed);
        let published = publisher.join().map_err(|_| anyhow!("The publisher panicked"))?;
        updated.and(published)
    })?;
    ensure!(published > 2, "Only {published} publications were made meanwhile");
    serving.stop()
}

/// Publishes the two versions by turns, each time with another text, and points the distribution at
/// each; says how often.
fn publish_until(lab: &Lab, over: &AtomicBool) -> Result<usize> {
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        let (version, days) = ((1 + count % 2).to_string(), (count + 1).to_string());
        let published = lab.pulp.run(&[
            "deb",
            "publication",
            "create",
            "--repository",
            NAME,
            "--version",
            &version,
            "--valid-for",
            &days,
            "--json",
        ])?;
        let published: serde_json::Value = serde_json::from_str(&published)?;
        let id = published["publication"].as_str().context("A publication has an id")?;
        lab.pulp.run(&["deb", "distribution", "update", "--name", NAME, "--publication", id])?;
        count += 1;
    }
    Ok(count)
}
