//! File repositories through the framework, on both databases: uploads, verbatim lists, alternate
//! content sources.

mod alternates;
mod conformance;
mod kit;
mod upload;
mod verbatim;
