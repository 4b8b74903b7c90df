//! Composition of the sync engine into a program: plugins, command line, settings, output.
//!
//! A program is one line (this is all of `main.rs`, and a third party writes the same with its own
//! plugin beside or instead of ours):
//!
//! ```no_run
//! # use std::process::ExitCode;
//! fn main() -> ExitCode {
//!     pulp::Application::new().plugin(plugin_file::File).run()
//! }
//! ```
//!
//! What the program can do lives in the crates below. Here is only what a person at a terminal
//! needs: words, flags, bars, exit codes.

mod application;
mod commands;
mod operations;
mod declaration;
mod declare;
mod remote_flags;
mod settings;
mod printer;
mod bars;
mod profile_file;
mod profile_drawing;
mod failure;

pub use application::Application;
