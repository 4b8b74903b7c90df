//! The assembly line as a plugin author sees it: only the crate's public interface is used.

mod kit;

mod batches;
mod broken;
mod budget;
mod contract;
mod downloader;
mod failures;
mod full_batches;
mod profile;
mod resolution;
mod schedules;
mod scope;
