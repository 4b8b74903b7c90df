//! Memory that does not grow with the repository, as far as it is the plugin's.
//!
//! What the line holds is bounded by its queues. What is left is a first stage that reads all of
//! upstream before it puts anything, so that is what is counted: units that were made and have not
//! reached the next stage.

use std::sync::atomic::Ordering;

use pulp_models::{remote::Policy, testing::TestDatabase};
use tokio::sync::Mutex;

use super::{
    Blueprint, Sample,
    bench::Bench,
    edited::{Edited, Meter},
};
use crate::{plugin::AnyPlugin, testing::report};

/// One at a time in a process: units are counted for the whole of it.
static TURN: Mutex<()> = Mutex::const_new(());

/// A repository of many units: all of them arrive, and the first stage holds at no time half of
/// them. They share their bytes, which nobody asks for.
pub async fn many_units<B: Blueprint>(database: TestDatabase) {
    let _turn = TURN.lock().await;
    let bytes = Sample::new("same").bytes;
    let named = |number| Sample { name: format!("n{number}"), bytes: bytes.clone() };
    let samples: Vec<Sample> = (0..B::UNITS).map(named).collect();
    let bench = Bench::<B>::offering(&samples, database).await;
    let meter = Meter::default();
    let edit = meter.clone();
    let plugin = Edited::new(B::PLUGIN, move |line| line.push_front(Box::new(edit.clone())));
    let before = crate::declarative::made();
    meter.passed.store(before, Ordering::Relaxed);

    let request = bench.lab.request(bench.remote(Policy::OnDemand).await).await;
    let outcome = AnyPlugin::sync(&plugin, &bench.lab.installation, request).await;
    let summary = outcome.unwrap_or_else(|error| panic!("the sync failed: {}", report(&error)));
    let units = B::UNITS as u64;
    assert!(summary.present >= units, "{} of {units} arrived", summary.present);
    let held = meter.held.load(Ordering::Relaxed);
    assert!(held < units / 2, "the first stage held {held} of {units} units");
}
