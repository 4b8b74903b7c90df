//! File repositories, end to end.
//!
//! Here stand the list of cases and what they share: random files and the lists that name them.

use anyhow::{Context as _, Result, ensure};

use super::{Case, Lab, case};
use crate::{
    pulp::{self, Serving},
    upstream::Upstream,
};

mod beside;
mod commands;
mod operators;
mod upkeep;
mod failures;
mod processes;
mod interrupted;
mod serve;
mod sync;

/// Every case of this suite.
pub(super) fn cases() -> Vec<Case> {
    [
        sync::cases(),
        serve::cases(),
        failures::cases(),
        processes::cases(),
        interrupted::cases(),
        commands::cases(),
        operators::cases(),
        upkeep::cases(),
        beside::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The name under which cases mirror; it holds a slash because it may.
const NAME: &str = "team/files";

/// Files of an upstream.
#[derive(Clone)]
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    /// A few files with everything odd that a name may hold, of sizes on all sides of the limits
    /// inside (empty, kept in memory, kept in a file).
    fn odd() -> Self {
        let files = [
            ("plain.txt", 12),
            ("empty", 0),
            ("with space, and comma.iso", 1000),
            ("ordner/größe 漢字 ✓.bin", 70_000),
            ("deep/er/and/deeper/100%+#?&='\"\\.dat", 5),
            ("large.img", 1_500_000),
        ];
        Self(
            (1..)
                .zip(files)
                .map(|(seed, (path, length))| (path.to_owned(), noise(seed, length)))
                .collect(),
        )
    }

    /// One file.
    fn one(path: &str, bytes: Vec<u8>) -> Self {
        Self(vec![(path.to_owned(), bytes)])
    }

    /// `count` files of 100 bytes.
    fn many(count: u64) -> Self {
        Self((0..count).map(|seed| (format!("many/{seed:05}"), noise(seed + 1, 100))).collect())
    }

    /// As `PULP_MANIFEST` has it.
    fn manifest(&self) -> String {
        let line = |(path, bytes): &(String, Vec<u8>)| {
            format!("{path},{},{}\n", pulp::sha256(bytes), bytes.len())
        };
        self.0.iter().map(line).collect()
    }

    /// As `sha256sum` has it.
    fn checksums(&self) -> String {
        let line = |(path, bytes): &(String, Vec<u8>)| {
            let digest = pulp::sha256(bytes);
            if path.contains('\\') {
                format!("\\{digest}  {}\n", path.replace('\\', "\\\\"))
            } else {
                format!("{digest}  {path}\n")
            }
        };
        self.0.iter().map(line).collect()
    }

    /// Puts the files and their manifest upstream; returns the manifest's URL.
    fn put(&self, upstream: &Upstream) -> String {
        for (path, bytes) in &self.0 {
            upstream.put(path, bytes.clone());
        }
        upstream.put("PULP_MANIFEST", self.manifest());
        upstream.url("PULP_MANIFEST")
    }

    /// An error unless every file is served as it is upstream.
    fn are_served_by(&self, serving: &Serving) -> Result<()> {
        for (path, bytes) in &self.0 {
            let served = serving.get(NAME, path).and_then(|reply| reply.expect(200));
            let served = served.with_context(|| format!("Failed to fetch `{path}`"))?;
            ensure!(served.body == *bytes, "`{path}` is served with other bytes than upstream's");
        }
        Ok(())
    }
}

/// Bytes that compress badly and repeat for the same `seed`.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}

/// Requests for files, their list excluded.
fn files_asked(lab: &Lab) -> Vec<crate::upstream::Seen> {
    let mut log = lab.upstream.take_log();
    log.retain(|seen| seen.path != "PULP_MANIFEST");
    log
}
