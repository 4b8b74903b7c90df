//! The conformance kit on `PULP_MANIFEST`s.

use bytes::Bytes;
use plugin_file::File;
use pulp_stages::testing::{Blueprint, Sample};

use crate::kit::manifest;

struct Manifest;

impl Blueprint for Manifest {
    type Plugin = File;
    const PLUGIN: File = File;
    const URL: &'static str = "PULP_MANIFEST";

    fn metadata(samples: &[Sample]) -> Vec<(String, Bytes)> {
        let files: Vec<_> = samples.iter().map(|one| (&*one.name, &*one.bytes)).collect();
        vec![(Self::URL.to_owned(), manifest(&files).into())]
    }
}

pulp_stages::conformance!(Manifest);
