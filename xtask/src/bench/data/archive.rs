//! An apt repository of any size: one suite, component `main`, architecture `amd64`.
//!
//! The fields, their lengths and how often they occur are those of Debian's own `Packages` of
//! 63,440 stanzas; what they say is noise. The release file is not signed.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
    process::Command,
};

use anyhow::Result;
use sha2::Digest as _;

use super::Noise;
use crate::{pulp::sha256, run};

const WORDS: &[&str] = &[
    "net", "lib", "python3", "perl", "data", "gtk", "qt", "font", "doc", "dev", "core", "utils",
    "server", "client", "common", "plugin", "audio", "video", "image", "crypto", "json", "xml",
    "http", "mail", "kde", "gnome", "rust", "golang", "node", "ruby",
];
const SECTIONS: &[&str] = &["libs", "python", "perl", "libdevel", "doc", "net", "utils", "golang"];

pub(super) fn make(folder: &Path, name: &str, packages: u64, bodies: bool) -> Result<()> {
    let index = "main/binary-amd64";
    let suite = folder.join("dists").join(name);
    fs::create_dir_all(suite.join(index))?;
    let plain = suite.join(index).join("Packages");
    let mut writer = BufWriter::new(File::create(&plain)?);
    for number in 0..packages {
        let body = if bodies { Some(body(folder, number)?) } else { None };
        writer.write_all(stanza(number, packages, body).as_bytes())?;
    }
    writer.flush()?;
    drop(writer);
    run::output_of(Command::new("gzip").args(["--keep", "--no-name"]).arg(&plain))?;
    run::output_of(Command::new("xz").args(["--keep", "--threads=1", "-1"]).arg(&plain))?;
    let mut release = format!(
        "Origin: Bench\nLabel: Bench\nSuite: stable\nVersion: 12.0\nCodename: {name}\n\
         Date: Sat, 11 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: no\nArchitectures: all amd64\n\
         Components: main\nDescription: Packages of noise\nSHA256:\n"
    );
    for suffix in ["", ".gz", ".xz"] {
        let bytes = fs::read(plain.with_extension(suffix.trim_start_matches('.')))?;
        let _ = writeln!(release, " {} {:8} {index}/Packages{suffix}", sha256(&bytes), bytes.len());
    }
    // Mirrors have the compressed files only.
    fs::remove_file(&plain)?;
    Ok(fs::write(suite.join("Release"), release)?)
}

fn name(number: u64) -> String {
    let mut noise = Noise::new(number);
    let words = [noise.pick(WORDS), noise.pick(WORDS)];
    format!("{}-{}{number}", words[0], words[1])
}

fn filename(number: u64) -> String {
    let name = name(number);
    format!("pool/main/{}/{name}/{name}_{}_amd64.deb", &name[..1], version(number))
}

fn version(number: u64) -> String {
    let mut noise = Noise::new(number + 1_000_000_007);
    format!("{}.{}.{}-{}", noise.below(9), noise.below(30), noise.below(12), 1 + noise.below(5))
}

/// What a stanza says of a package's file.
struct Body {
    size: u64,
    md5: String,
    sha256: String,
}

/// Writes a package's file.
fn body(folder: &Path, number: u64) -> Result<Body> {
    let mut noise = Noise::new(number);
    let mut bytes = vec![0; usize::try_from(20_000 + noise.below(180_000))?];
    noise.fill(&mut bytes);
    let path = folder.join(filename(number));
    fs::create_dir_all(path.parent().expect("it lies in a folder"))?;
    fs::write(path, &bytes)?;
    let md5 = format!("{:x}", md5::Md5::digest(&bytes));
    Ok(Body { size: bytes.len() as u64, md5, sha256: sha256(&bytes) })
}

fn stanza(number: u64, packages: u64, body: Option<Body>) -> String {
    let mut noise = Noise::new(number + 77);
    let name = name(number);
    let body = body.unwrap_or_else(|| Body {
        size: 1000 + noise.below(2_000_000),
        md5: Noise::new(number).hex(16),
        sha256: Noise::new(number).hex(32),
    });
    let mut text = format!("Package: {name}\n");
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "{name}: {value}");
    };
    if noise.below(10) < 7 {
        field("Source", name.trim_end_matches(char::is_numeric));
    }
    field("Version", &version(number));
    field("Installed-Size", &noise.below(10_000).to_string());
    field("Maintainer", "Maintainers of Packages of Noise <maintainers@lists.example.org>");
    field("Architecture", "amd64");
    if noise.below(6) == 0 {
        field("Provides", &relations(&mut noise, packages, 4));
    }
    if noise.below(8) > 0 {
        field("Depends", &relations(&mut noise, packages, 8));
    }
    if noise.below(6) == 0 {
        field("Recommends", &relations(&mut noise, packages, 3));
        field("Suggests", &relations(&mut noise, packages, 3));
    }
    if noise.below(3) == 0 {
        field("Multi-Arch", "foreign");
    }
    field("Description", &format!("{} for {} of all kinds", noise.pick(WORDS), noise.pick(WORDS)));
    field("Homepage", &format!("https://www.example.org/{name}/"));
    field("Description-md5", &noise.hex(16));
    if noise.below(2) == 0 {
        field("Tag", "implemented-in::c, interface::daemon, network::server,\n protocol::http");
    }
    field("Section", noise.pick(SECTIONS));
    field("Priority", "optional");
    field("Filename", &filename(number));
    field("Size", &body.size.to_string());
    field("MD5sum", &body.md5);
    field("SHA256", &body.sha256);
    text.push('\n');
    text
}

/// Some packages of the archive, each with a version.
fn relations(noise: &mut Noise, packages: u64, most: u64) -> String {
    let one = |noise: &mut Noise| {
        let number = noise.below(packages);
        format!("{} (>= {})", name(number), version(number))
    };
    let count = 1 + noise.below(most);
    (0..count).map(|_| one(noise)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_as_long_as_debians_on_average() {
        let length: usize = (0..2000).map(|number| stanza(number, 63_440, None).len()).sum();
        assert!((650..950).contains(&(length / 2000)), "{} bytes", length / 2000);
        assert_eq!(stanza(7, 10, None), stanza(7, 10, None));
    }
}
