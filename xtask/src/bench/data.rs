//! What upstreams have: sets of data, made from nothing but numbers and kept between runs.
//!
//! Sets lie below `target/bench/upstream/`, each in a folder of its own, as a web server's root
//! would have them. The same set has the same bytes on every machine.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};

use crate::pulp::sha256;

mod archive;
mod images;

pub(super) use images::offer as offer_images;

/// A set of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// Files of one size with a `PULP_MANIFEST`.
    Files { name: &'static str, count: u64, size: u64 },
    /// A `PULP_MANIFEST` of small files that are not there.
    Listed { count: u64 },
    /// An apt repository of one suite; with bodies of about 110 KB, or without any.
    Archive { name: &'static str, suite: &'static str, packages: u64, bodies: bool },
    /// A container repository: a tag for each image, or for each index of one image per platform.
    /// Layers are shared by all images of a platform, or an image's own.
    Images { name: &'static str, tags: u64, platforms: u64, shared: Layers, own: Layers },
    /// Nothing.
    Nothing,
}

/// Some layers of an image, with so many bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layers {
    pub(super) count: u64,
    pub(super) size: u64,
}

impl Set {
    /// The folder's path below the server's root; the same as the server's path.
    pub(super) fn path(self, quick: bool) -> String {
        let path = match self {
            Self::Files { name, .. } => format!("file/{name}"),
            Self::Listed { count } => format!("file/listed-{count}"),
            Self::Archive { name, .. } => name.to_owned(),
            Self::Images { name, .. } if quick => return format!("v2/quick/{name}"),
            Self::Images { name, .. } => return format!("v2/lab/{name}"),
            Self::Nothing => return String::new(),
        };
        if quick { format!("quick/{path}") } else { path }
    }

    /// What an archive's suite is called.
    pub(super) fn suite(self) -> &'static str {
        if let Self::Archive { suite, .. } = self { suite } else { "" }
    }

    /// How many files, packages or tags it has.
    pub(super) fn units(self, quick: bool) -> u64 {
        let (count, few) = match self {
            Self::Files { count, .. } | Self::Listed { count } => (count, 20),
            Self::Archive { packages, .. } => (packages, 30),
            Self::Images { tags, .. } => (tags, 3),
            Self::Nothing => (0, 0),
        };
        if quick { count.min(few) } else { count }
    }

    /// How many bytes each of its files has, if all have the same.
    pub(super) fn file_size(self, quick: bool) -> u64 {
        match self {
            Self::Files { size, .. } if quick => size.min(4096),
            Self::Files { size, .. } => size,
            _ => 0,
        }
    }

    /// Makes it below `root`, unless it is there.
    pub(super) fn make(self, root: &Path, quick: bool) -> Result<()> {
        let folder = root.join(self.path(quick));
        let done = root.join(format!("{}.{}", self.path(quick).replace('/', "-"), "done"));
        let description = format!("{self:?}, {} units", self.units(quick));
        let is_made = fs::read_to_string(&done).is_ok_and(|made| made == description);
        if self == Self::Nothing || is_made {
            return Ok(());
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let made = match self {
            Self::Files { .. } => files(&folder, self.units(quick), self.file_size(quick)),
            Self::Listed { .. } => listed(&folder, self.units(quick)),
            Self::Archive { suite, bodies, .. } => {
                archive::make(&folder, suite, self.units(quick), bodies)
            }
            Self::Images { name, platforms, shared, own, .. } => {
                let less = |layers: Layers| Layers { size: layers.size >> 10, ..layers };
                let (shared, own) = if quick { (less(shared), less(own)) } else { (shared, own) };
                images::make(&folder, name, self.units(quick), platforms, shared, own)
            }
            Self::Nothing => Ok(()),
        };
        made.with_context(|| format!("Failed to make `{}`", folder.display()))?;
        Ok(fs::write(done, description)?)
    }
}

/// The path of a file of a set.
pub(super) fn file_path(number: u64) -> String {
    format!("d{:03}/f{number:06}.dat", number / 1000)
}

fn files(folder: &Path, count: u64, size: u64) -> Result<()> {
    let mut manifest = BufWriter::new(File::create(folder.join("PULP_MANIFEST"))?);
    for number in 0..count {
        let path = folder.join(file_path(number));
        if number % 1000 == 0 {
            fs::create_dir_all(path.parent().expect("it lies in a folder"))?;
        }
        let mut bytes = vec![0; usize::try_from(size)?];
        Noise::new(number).fill(&mut bytes);
        writeln!(manifest, "{},{},{size}", file_path(number), sha256(&bytes))?;
        fs::write(path, bytes)?;
    }
    Ok(manifest.flush()?)
}

fn listed(folder: &Path, count: u64) -> Result<()> {
    let mut manifest = BufWriter::new(File::create(folder.join("PULP_MANIFEST"))?);
    for number in 0..count {
        writeln!(manifest, "{},{},1024", file_path(number), Noise::new(number).hex(32))?;
    }
    Ok(manifest.flush()?)
}

/// Numbers that look random and are always the same.
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    pub(super) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).expect("it is below a length")]
    }

    /// So many bytes in hexadecimal digits.
    pub(super) fn hex(&mut self, bytes: usize) -> String {
        let mut text = String::new();
        while text.len() < 2 * bytes {
            let _ = write!(text, "{:016x}", self.next());
        }
        text.truncate(2 * bytes);
        text
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_made_once_and_lists_what_it_has() {
        let root = tempfile::tempdir().expect("a folder");
        let set = Set::Files { name: "few", count: 5, size: 100 };
        set.make(root.path(), true).expect("made");
        let folder = root.path().join(set.path(true));
        let manifest = fs::read_to_string(folder.join("PULP_MANIFEST")).expect("it is there");
        assert_eq!(manifest.lines().count(), 5);
        for line in manifest.lines() {
            let fields: Vec<_> = line.split(',').collect();
            let bytes = fs::read(folder.join(fields[0])).expect("it is there");
            assert_eq!((fields[1], fields[2]), (&*sha256(&bytes), "100"));
        }
        fs::remove_file(folder.join("PULP_MANIFEST")).expect("removed");
        set.make(root.path(), true).expect("it was made");
        assert!(!folder.join("PULP_MANIFEST").exists(), "it is not made twice");
    }
}
