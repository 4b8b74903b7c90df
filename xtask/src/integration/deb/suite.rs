//! A suite written by hand, byte for byte, so that anything in it can be wrong; unsigned.

use std::{fs, process::Command};

use anyhow::Result;

use crate::{pulp::sha256, run, upstream::Upstream};

/// The folder of its release file.
pub(super) const SUITE: &str = "dists/stable/";
/// Its only index of packages, without a suffix.
pub(super) const INDEX: &str = "main/binary-amd64/Packages";

/// `dists/stable` with the component `main` for amd64.
pub(super) struct Suite {
    /// The fields of the release file before the digests.
    pub(super) head: String,
    /// The algorithm's field; `SHA256` unless something is to be wrong.
    pub(super) list: &'static str,
    /// The listed files by path below the suite.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// Listed, but not there.
    pub(super) absent: Vec<String>,
    /// Further lines of the list of digests.
    pub(super) lines: String,
    /// Other files by path below the root.
    pub(super) pool: Vec<(String, Vec<u8>)>,
}

impl Suite {
    /// Without any file.
    pub(super) fn empty() -> Self {
        Self {
            head: "Origin: Lab\nSuite: stable\nCodename: stable\n\
                   Date: Sat, 11 Jul 2026 10:16:37 UTC\n\
                   Architectures: amd64\nComponents: main\n"
                .to_owned(),
            list: "SHA256",
            files: Vec::new(),
            absent: Vec::new(),
            lines: String::new(),
            pool: Vec::new(),
        }
    }

    /// One package of this version, its index in gz and xz, the plain one listed only.
    pub(super) fn good(version: &str) -> Result<Self> {
        let mut suite = Self::empty();
        let stanza = suite.package("hello", version);
        suite.index(stanza.as_bytes())?;
        Ok(suite)
    }

    /// Adds a package's file and gives its stanza with the empty line behind it.
    pub(super) fn package(&mut self, name: &str, version: &str) -> String {
        let body = format!("{name} {version}").into_bytes();
        let path = format!("pool/{name}_{version}_amd64.deb");
        let stanza = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: {path}\n\
             Size: {}\nSHA256: {}\nDescription: a package\n\n",
            body.len(),
            sha256(&body)
        );
        self.pool.push((path, body));
        stanza
    }

    /// Lists an index of packages in plain (which is not there, as usual), gz and xz.
    pub(super) fn index(&mut self, text: &[u8]) -> Result<()> {
        self.files.push((INDEX.to_owned(), text.to_vec()));
        self.absent.push(INDEX.to_owned());
        self.files.push((format!("{INDEX}.gz"), compress("gzip", text)?));
        self.files.push((format!("{INDEX}.xz"), compress("xz", text)?));
        Ok(())
    }

    /// Puts all of it upstream.
    pub(super) fn put(&self, upstream: &Upstream) {
        for (path, bytes) in self.files.iter().filter(|(path, _)| !self.absent.contains(path)) {
            upstream.put(&format!("{SUITE}{path}"), bytes.clone());
        }
        for (path, bytes) in &self.pool {
            upstream.put(path, bytes.clone());
        }
        let line = |(path, bytes): &(String, Vec<u8>)| {
            let digest = sha256(bytes);
            // MD5 has half as many digits; nobody checks it here.
            let digits = if self.list == "MD5Sum" { 32 } else { 64 };
            format!(" {} {} {path}\n", &digest[..digits], bytes.len())
        };
        let lines: String = self.files.iter().map(line).collect();
        let text = format!("{}{}:\n{lines}{}", self.head, self.list, self.lines);
        upstream.put(&format!("{SUITE}Release"), text);
    }
}

/// Compresses by one of the usual programs.
pub(super) fn compress(program: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let plain = folder.path().join("file");
    fs::write(&plain, bytes)?;
    run::output_of(Command::new(program).args(["--force"]).arg(&plain))?;
    let compressed = fs::read_dir(folder.path())?.next().expect("the program wrote a file")?;
    Ok(fs::read(compressed.path())?)
}
