//! Longer runs of the fuzz targets, which every `cargo xtask test` runs for two seconds each.
//!
//! A target is a test below a module `fuzz`; what it does with these variables stands in
//! `pulp-stages/src/testing/fuzz.rs`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::run;

/// Tries the targets whose name contains `target` (all), for so many minutes each.
pub(crate) fn run(target: Option<&str>, minutes: u64) -> Result<()> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    println!("PULP_FUZZ_SEED={seed}");
    let only = format!("test(/(^|::)fuzz::/) and test({})", target.unwrap_or("fuzz::"));
    let mut command =
        run::cargo(["nextest", "run", "--workspace", "--no-fail-fast", "-E", only.as_str()]);
    command.env("PULP_FUZZ_SEED", seed.to_string());
    command.env("PULP_FUZZ_SECONDS", (minutes * 60).to_string());
    run::shown(&mut command)
}
