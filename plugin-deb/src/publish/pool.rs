//! Where a structured publication has the packages' files: at upstream's paths, where they are
//! passed through, unless two units have different files at one path. Then the later one gets a
//! folder of its own, named by what tells it apart, and its stanza says so.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
};

use bytes::Bytes;
use pulp_models::{ContentId, RelativePath, Sha256};
use pulp_stages::publish::{PublishError, PublishedUnit};

use super::path;
use crate::{content::DebContent, stanza::without_fields};

/// The paths that are taken, as hashes.
#[derive(Default)]
pub(super) struct Pool {
    taken: HashMap<u64, Claim>,
    hasher: RandomState,
}

/// Who has a path first.
struct Claim {
    unit: ContentId,
    /// By which bytes, as a hash.
    bytes: u64,
}

/// Where the files of a unit go.
pub(super) struct Place<'a> {
    /// The stanza that says so.
    pub(super) stanza: Cow<'a, [u8]>,
    /// What does not go without saying, if two units want a path.
    pub(super) files: Vec<PlacedFile>,
}

/// A unit's file and where it is published.
pub(super) struct PlacedFile {
    pub(super) unit: ContentId,
    /// The file's own path.
    pub(super) own: RelativePath,
    pub(super) published: RelativePath,
}

impl Pool {
    /// Finds a place for the files of a package.
    pub(super) fn place<'a>(
        &mut self,
        unit: &'a PublishedUnit<DebContent>,
    ) -> Result<Place<'a>, PublishError> {
        let stanza: &'a Bytes = match &unit.content {
            DebContent::Package(package) => &package.stanza,
            DebContent::SourcePackage(package) => &package.stanza,
            _ => return Ok(Place { stanza: Cow::Borrowed(&[]), files: Vec::new() }),
        };
        let mut files = Vec::new();
        for artifact in &unit.artifacts {
            let own = &artifact.relative_path;
            if let Some(owner) = self.take(unit.id, stanza, own) {
                files.push(PlacedFile { unit: owner, own: own.clone(), published: own.clone() });
            }
        }
        if files.is_empty() {
            return Ok(Place { stanza: Cow::Borrowed(stanza), files });
        }
        let folder = format!("pool/{}", &Sha256::of(stanza).to_string()[..16]);
        for artifact in &unit.artifacts {
            let own = artifact.relative_path.clone();
            let published = path(&format!("{folder}/{}", own.file_name()))?;
            files.push(PlacedFile { unit: unit.id, own, published });
        }
        let stanza = match (&unit.content, files.last()) {
            (DebContent::Package(_), Some(file)) => {
                with_field(stanza, "Filename", file.published.as_str())
            }
            _ => with_field(stanza, "Directory", &folder),
        };
        Ok(Place { stanza: Cow::Owned(stanza), files })
    }

    /// Takes a path for a file of this stanza; the unit that has it already with other bytes.
    fn take(&mut self, unit: ContentId, stanza: &[u8], path: &RelativePath) -> Option<ContentId> {
        let bytes = self.hasher.hash_one(digest_of(stanza, path.file_name()));
        let claim = self.taken.entry(self.hasher.hash_one(path.as_str()));
        let claim = claim.or_insert(Claim { unit, bytes });
        (claim.bytes != bytes).then_some(claim.unit)
    }
}

/// The SHA-256 that the stanza gives for its file `name`, as it is written there; all of the stanza
/// if it gives none.
fn digest_of<'a>(stanza: &'a [u8], name: &str) -> &'a [u8] {
    if let Some(value) = line_after(stanza, b"\nSHA256:") {
        return value.trim_ascii();
    }
    // A source package: lines of digest, size and name.
    let list = memchr::memmem::find(stanza, b"\nChecksums-Sha256:").map(|at| &stanza[at + 1..]);
    let lines = list.unwrap_or_default().split(|byte| *byte == b'\n').skip(1);
    lines
        .take_while(|line| line.starts_with(b" "))
        .map(<[u8]>::trim_ascii)
        .find(|line| line.ends_with(name.as_bytes()))
        .unwrap_or(stanza)
}

fn line_after<'a>(stanza: &'a [u8], label: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(stanza, label)? + label.len();
    stanza[at..].split(|byte| *byte == b'\n').next()
}

/// The stanza with another value for the field `name`, which comes last then.
fn with_field(stanza: &[u8], name: &str, value: &str) -> Vec<u8> {
    let mut text = without_fields(stanza, &[name]);
    text.extend_from_slice(format!("{name}: {value}\n").as_bytes());
    text
}

#[cfg(test)]
mod tests {
    use pulp_models::content_artifact::ContentArtifact;

    use super::*;
    use crate::{package::PackageFields, stanza::Stanza};

    const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn package(digit: char, distribution: &str) -> PublishedUnit<DebContent> {
        let digest = ZEROS.replace('0', &digit.to_string());
        let text = format!(
            "Package: a\nVersion: 1\nArchitecture: amd64\nFilename: pool/a.deb\nSize: 1\n\
             SHA256: {digest}\nDescription: x\n"
        );
        let fields = PackageFields::read(&Stanza::of(text.as_bytes())).expect("valid");
        let path = fields.filename.clone();
        let stanza = Bytes::from(text.clone());
        let package = crate::content::Package::new(&fields, stanza, distribution, "main", false);
        let artifact = ContentArtifact { relative_path: path, artifact: None, size: None };
        PublishedUnit {
            id: ContentId::new(),
            content: DebContent::Package(package),
            artifacts: vec![artifact],
        }
    }

    #[test]
    fn files_stay_at_upstreams_paths_unless_others_are_there() {
        let mut pool = Pool::default();
        let first = package('1', "stable");
        let place = pool.place(&first).expect("a place");
        assert!(place.files.is_empty() && matches!(place.stanza, Cow::Borrowed(_)));
        let same = package('1', "stable-updates");
        assert!(pool.place(&same).expect("a place").files.is_empty());
        let other = package('2', "stable");
        let place = pool.place(&other).expect("a place");
        let [kept, moved] = &place.files[..] else {
            panic!("each is named: {}", place.files.len())
        };
        assert_eq!((kept.unit, kept.published.as_str()), (first.id, "pool/a.deb"));
        assert_eq!((moved.unit, moved.own.as_str()), (other.id, "pool/a.deb"));
        assert!(moved.published.as_str().ends_with("/a.deb") && moved.published != moved.own);
        let fields = PackageFields::read(&Stanza::of(&place.stanza)).expect("still a stanza");
        assert_eq!(fields.filename, moved.published);
        assert!(place.stanza.ends_with(b"\n"));
    }
}
