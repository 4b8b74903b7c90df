//! Apt repositories: mirrored, verified, versioned, published and signed.
//!
//! The way of the data: a release file ([`release`]) whose signature holds ([`signature`]) names
//! index files, which are decompressed ([`compression`]) and cut into stanzas ([`stanza`]).

pub mod compression;
pub mod content;
pub mod index_reader;
pub mod index_writer;
pub mod openpgp;
pub mod options;
pub mod package;
pub mod release;
pub mod selection;
pub mod source;
pub mod stanza;
