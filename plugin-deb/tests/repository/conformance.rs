//! The conformance kit on a distribution with one component.

use bytes::Bytes;
use plugin_deb::Deb;
use pulp_stages::testing::{Blueprint, Sample};
use serde_json::{Value, json};

use crate::kit::Dist;

struct Stable;

impl Blueprint for Stable {
    type Plugin = Deb;
    const PLUGIN: Deb = Deb;

    fn metadata(samples: &[Sample]) -> Vec<(String, Bytes)> {
        let stanza = |sample: &Sample| {
            format!(
                "Package: {}\nVersion: 1\nArchitecture: all\nMaintainer: Us <us@example.org>\n\
                 Filename: {}\nSize: {}\nSHA256: {}\nDescription: a sample\n\n",
                sample.name,
                Self::path(sample),
                sample.size(),
                sample.sha256(),
            )
        };
        let dist = Dist::stable().packages(&samples.iter().map(stanza).collect::<String>());
        let release = ("Release".to_owned(), dist.release().into_bytes());
        let there = dist.files.into_iter().filter(|(path, _)| !dist.absent.contains(path));
        let files = there.chain([release]);
        files.map(|(path, bytes)| (format!("{}{path}", dist.directory), bytes.into())).collect()
    }

    fn options() -> Value {
        json!({ "distributions": ["stable"] })
    }

    fn path(sample: &Sample) -> String {
        format!("pool/{}_1_all.deb", sample.name)
    }
}

pulp_stages::conformance!(Stable);
