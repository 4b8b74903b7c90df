//! What every repository type must do, on lists of files: the framework's conformance kit.

use bytes::Bytes;
use plugin___ident__::__Name__;
use pulp_stages::testing::{Blueprint, Sample};

/// How an upstream is written.
struct List;

impl Blueprint for List {
    type Plugin = __Name__;
    const PLUGIN: __Name__ = __Name__;
    const URL: &'static str = "LIST";

    fn metadata(samples: &[Sample]) -> Vec<(String, Bytes)> {
        let line = |one: &Sample| format!("{} {} {}\n", one.sha256(), one.size(), one.name);
        let text: String = samples.iter().map(line).collect();
        vec![(Self::URL.to_owned(), text.into())]
    }
}

pulp_stages::conformance!(List);
