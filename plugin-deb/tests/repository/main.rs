//! Apt repositories through the framework, against an upstream made for each test: syncs of every
//! layout, what goes wrong upstream, publications of both kinds.

mod chosen;
mod companions;
mod conformance;
mod defects;
mod copy;
mod faults;
mod kit;
mod publish;
mod sync;
mod unchanged;
