//! Which kind of list an upstream is, and its entries.
//!
//! The way in for a first stage: [`UpstreamFormat::detect`] by the URL's file name, else by the
//! document's first bytes (unless the remote's options name a format), then [`entries`].

use std::{fmt, io::BufRead};

use pulp_models::{Algorithm, RemoteUrl};
use serde::{Deserialize, Serialize};

use crate::{
    checksums::{self, Checksums},
    distinct::Distinct,
    entry::{Entry, ParseError, shown},
    lines::LONGEST_LINE,
    manifest::{self, MANIFEST_NAME, Manifest},
    metalink::Metalink,
};

/// The lists of files that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum UpstreamFormat {
    /// `PULP_MANIFEST`: `path,sha256,size` per line
    Manifest,
    /// Metalink 4 (RFC 5854), with mirrors for each file
    Metalink,
    /// SHA256SUMS and its kin, in GNU or BSD form
    Checksums,
}

/// Neither the URL's name nor the document's beginning tells what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Failed to tell whether `{url}` is a manifest, a Metalink or a checksum list: it begins with \
     `{beginning}`"
)]
pub struct UnknownFormat {
    url: RemoteUrl,
    beginning: String,
}

impl UpstreamFormat {
    /// How many bytes from the document's beginning are enough for [`detect`](Self::detect).
    pub const BEGINNING: usize = 2 * LONGEST_LINE;

    /// Tells the format by the file name in `url`, else by the document's `beginning`.
    ///
    /// ```
    /// use plugin_file::UpstreamFormat;
    ///
    /// let url = "https://host/release/SHA256SUMS".parse()?;
    /// assert_eq!(UpstreamFormat::detect(&url, b"")?, UpstreamFormat::Checksums);
    /// let url = "https://host/list?of=files".parse()?;
    /// assert_eq!(UpstreamFormat::detect(&url, b"<?xml ...")?, UpstreamFormat::Metalink);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn detect(url: &RemoteUrl, beginning: &[u8]) -> Result<Self, UnknownFormat> {
        let name = url.expose().path_segments().and_then(|mut all| all.next_back());
        name.and_then(Self::of_name).or_else(|| Self::of_beginning(beginning)).ok_or_else(|| {
            let line = String::from_utf8_lossy(beginning);
            let line = line.trim_start().lines().next().unwrap_or_default();
            UnknownFormat { url: url.clone(), beginning: shown(line) }
        })
    }

    fn of_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let extension = lower.rsplit_once('.').map_or("", |(_, extension)| extension);
        if name == MANIFEST_NAME {
            Some(Self::Manifest)
        } else if matches!(extension, "meta4" | "metalink") {
            Some(Self::Metalink)
        } else if lower.contains("sums")
            || lower.contains("checksum")
            || extension.trim_end_matches("sum").parse::<Algorithm>().is_ok()
        {
            Some(Self::Checksums)
        } else {
            None
        }
    }

    fn of_beginning(beginning: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(beginning);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with('<') {
            return Some(Self::Metalink);
        }
        let line = text.lines().find(|line| !manifest::says_nothing(line))?;
        if manifest::parse_line(line).is_ok() {
            Some(Self::Manifest)
        } else if checksums::is_beginning(line) {
            Some(Self::Checksums)
        } else {
            None
        }
    }

    /// What entries of this format are counted in, for messages.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Manifest | Self::Checksums => "line",
            Self::Metalink => "`file` element",
        }
    }
}

impl fmt::Display for UpstreamFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "manifest",
            Self::Metalink => "Metalink",
            Self::Checksums => "checksum list",
        })
    }
}

/// The entries of the list at `url`, each path once; an error is the last item.
///
/// `algorithm` narrows a checksum list that holds several, and means nothing to other formats.
/// Entries are read as they are asked for: what is held besides is 16 bytes per entry.
pub fn entries<'r, R: BufRead + Send + 'r>(
    format: UpstreamFormat,
    algorithm: Option<Algorithm>,
    url: &RemoteUrl,
    reader: R,
) -> Box<dyn Iterator<Item = Result<Entry, ParseError>> + Send + 'r> {
    match format {
        UpstreamFormat::Manifest => Box::new(Distinct::new(format, Manifest::new(url, reader))),
        UpstreamFormat::Metalink => Box::new(Distinct::new(format, Metalink::new(url, reader))),
        UpstreamFormat::Checksums => {
            Box::new(Distinct::new(format, Checksums::new(url, algorithm, reader)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn detect(url: &str, beginning: &str) -> Option<UpstreamFormat> {
        UpstreamFormat::detect(&testing::url(url), beginning.as_bytes()).ok()
    }

    #[test]
    fn the_file_name_tells_the_format_whatever_the_query() {
        for (name, format) in [
            ("PULP_MANIFEST?token=1", UpstreamFormat::Manifest),
            ("image.iso.meta4", UpstreamFormat::Metalink),
            ("Image.METALINK", UpstreamFormat::Metalink),
            ("SHA256SUMS", UpstreamFormat::Checksums),
            ("sha512sums.txt", UpstreamFormat::Checksums),
            ("Fedora-41-x86_64-CHECKSUM", UpstreamFormat::Checksums),
            ("image.iso.sha256", UpstreamFormat::Checksums),
            ("image.iso.sha256sum", UpstreamFormat::Checksums),
            ("image.md5", UpstreamFormat::Checksums),
        ] {
            assert_eq!(detect(&format!("http://host/a/{name}"), "?"), Some(format), "{name}");
        }
    }

    #[test]
    fn other_names_leave_it_to_the_content() {
        let url = "http://host/list";
        for (beginning, format) in [
            ("\u{feff}\n <?xml version='1.0'?>".to_owned(), Some(UpstreamFormat::Metalink)),
            (format!("# a\n\na b,{SHA256},3\n"), Some(UpstreamFormat::Manifest)),
            (format!("{SHA256} *a"), Some(UpstreamFormat::Checksums)),
            (format!("SHA256 (a) = {SHA256}"), Some(UpstreamFormat::Checksums)),
            (
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash".to_owned(),
                Some(UpstreamFormat::Checksums),
            ),
            ("hello".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(detect(url, &beginning), format, "{beginning}");
        }
    }

    #[test]
    fn a_document_that_is_none_of_them_is_named_with_its_beginning() {
        let url = testing::url("http://me:secret@host/list");
        let error = UpstreamFormat::detect(&url, b"\nNot Found\n").expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "Failed to tell whether `http://host/list` is a manifest, a Metalink or a checksum \
             list: it begins with `Not Found`"
        );
    }

    #[test]
    fn every_format_yields_the_same_kind_of_entry() {
        let url = testing::url("http://host/dir/list");
        let metalink = format!(
            "<metalink xmlns='urn:ietf:params:xml:ns:metalink'><file name='a'><size>3</size>\
             <hash type='sha-256'>{SHA256}</hash><url>http://host/dir/a</url></file></metalink>"
        );
        for (format, text) in [
            (UpstreamFormat::Manifest, format!("a,{SHA256},3")),
            (UpstreamFormat::Checksums, format!("SHA256 (a) = {SHA256}\nSIZE (a) = 3")),
            (UpstreamFormat::Metalink, metalink),
        ] {
            let mut all = entries(format, None, &url, text.as_bytes());
            let entry = all.next().expect("one entry").expect("valid");
            assert!(all.next().is_none());
            assert_eq!(entry.relative_path.as_str(), "a");
            assert_eq!(entry.expected.size, Some(3));
            assert_eq!(entry.expected.digests.sha256(), SHA256.parse().ok());
            assert_eq!(entry.urls, [testing::url("http://host/dir/a")]);
        }
    }

    #[test]
    fn what_is_no_list_is_shown_without_its_control_characters() {
        let url = testing::url("http://host/unknown");
        let error = UpstreamFormat::detect(&url, b"\x1b[31mred\n").expect_err("no list");
        assert!(error.to_string().ends_with("begins with `\\u{1b}[31mred`"), "{error}");
    }
}
