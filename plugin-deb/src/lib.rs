//! Apt repositories: mirrored, verified, versioned, published and signed.
//!
//! The way of the data, as the modules stand below: a release file ([`release`]), believed when a
//! trusted key has signed it ([`openpgp`], [`upstream`]), lists index files. Those that are wanted
//! ([`selection`]) are fetched ([`index_fetch`]), decompressed ([`compression`]), cut into stanzas
//! ([`stanza`], [`index_reader`]), chosen from ([`query`], [`catalog`]) and become content
//! ([`package`], [`source`], [`content`], [`units`]) on its way into a repository version. A
//! publication goes the other way ([`index_writer`]); packages of one's own come in by `upload`
//! ([`binary_archive`]). [`Deb`] is what a program adds to its plugins.

mod plugin;
pub use plugin::Deb;

pub mod options;

mod first_stage;
pub mod upstream;

pub mod release;

pub mod openpgp;

pub mod selection;

pub mod index_fetch;

pub mod compression;

pub mod stanza;

pub mod index_reader;

pub mod diffs;

pub mod package;

pub mod source;

pub mod query;

pub mod relation;

pub mod catalog;

pub mod content;

pub mod units;

pub mod binary_archive;

mod upload;

mod copy;

mod publish;

pub mod index_writer;

pub mod keys;

mod commands;

#[cfg(test)]
mod fuzz;
