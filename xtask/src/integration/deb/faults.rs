//! What can be wrong upstream: each refused with its exit code and named, nothing of it visible,
//! nothing left behind, and the next sync of a sound upstream works; or, where the rest is of use,
//! left out with a warning that names file and stanza.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Case, Lab, NAME, republished,
    suite::{INDEX, SUITE, Suite, compress},
};
use crate::{
    run::PATIENCE,
    upstream::{Fault, Gate},
};

/// The exit code that blames upstream.
const UPSTREAM: i32 = 3;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, needs: &["gzip", "xz"], run };
    vec![
        case("no release file is an error that names its place", no_release),
        case("a page of HTML is no release file", html),
        case("a release file without strong digests is refused", weak),
        case("a release file that has expired or is older is refused", dates),
        case("an index that is missing is named", missing_index),
        case("an index that is wrong in one compression is taken in another", one_wrong),
        case("an index that is wrong in every compression is refused", all_wrong),
        case("a release file that changes while it is read is read again", changing),
        case("a truncated xz is refused and named", truncated),
        case("a bomb is stopped at the listed size", bomb),
        case("a stanza without end is stopped", endless_stanza),
        case("bad stanzas are left out and named with their lines", bad_stanzas),
        case("fields in odd encodings are kept as they are", encodings),
        case("duplicate stanzas are one package", duplicates),
        case("a package whose size lies is named", lying_size),
        case("paths that climb out are left out and named", climbing),
        case("listed files that are not there are one warning", absent_files),
    ]
}

fn arguments<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["mirror", "deb", url, "--name", NAME, "--distribution", "stable"];
    [&fixed[..], &["--max-retries", "0", "--json"], more].concat()
}

/// A mirror that must fail: with upstream blamed, all of `words` said, nothing visible, nothing
/// left. The next one, of a sound upstream, must work.
fn refused(lab: &Lab, more: &[&str], words: &[&str]) -> Result<()> {
    let url = lab.upstream.url("");
    let before = lab.pulp.versions("deb", NAME)?;
    let (code, text) = lab.pulp.run_failing(&arguments(&url, more))?;
    ensure!(code == UPSTREAM, "Exit code {code} instead of {UPSTREAM}:\n{text}");
    for word in words {
        ensure!(text.contains(word), "`{word}` does not stand in the error:\n{text}");
    }
    ensure!(!text.contains("panicked"), "It panicked:\n{text}");
    lab.pulp.has_no_temporary_files()?;
    let after = lab.pulp.versions("deb", NAME)?;
    ensure!(after == before, "The versions are others: {after:?}");
    lab.upstream.heal();
    Suite::good("9.0")?.put(&lab.upstream);
    let summary = mirrored(lab, &["--policy", "immediate", "--mirror"])?;
    ensure!(summary["version"].is_u64(), "The next sync made no version: {summary}");
    ensure!(packages(lab)? == ["hello 9.0"], "Not what upstream has: {:?}", packages(lab)?);
    lab.pulp.has_no_temporary_files()
}

/// A mirror that must work; its summary.
fn mirrored(lab: &Lab, more: &[&str]) -> Result<Value> {
    let url = lab.upstream.url("");
    let summary = serde_json::from_str(&lab.pulp.run(&arguments(&url, more))?)?;
    lab.pulp.has_no_temporary_files()?;
    Ok(summary)
}

/// An error unless a warning of `summary` holds all of `words`.
fn warned(summary: &Value, words: &[&str]) -> Result<()> {
    let warnings = summary["warnings"].as_array().context("No warnings in the summary")?;
    let holds = |warning: &Value| {
        let text = warning.as_str().unwrap_or_default();
        words.iter().all(|word| text.contains(word))
    };
    ensure!(warnings.iter().any(holds), "No warning holds {words:?}: {warnings:#?}");
    Ok(())
}

/// Names and versions of the packages in the index that is served.
fn packages(lab: &Lab) -> Result<Vec<String>> {
    let text = republished(lab, INDEX)?;
    let text = String::from_utf8_lossy(&text);
    let field = |name: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
    };
    let versions = field("Version: ");
    let names = field("Package: ").into_iter().zip(versions);
    Ok(names.map(|(name, version)| format!("{name} {version}")).collect())
}

fn no_release(lab: &Lab) -> Result<()> {
    let words = ["dists/stable`", "Neither `InRelease` nor `Release`", "hint: check the URL"];
    refused(lab, &[], &words)
}

fn html(lab: &Lab) -> Result<()> {
    lab.upstream.put(&format!("{SUITE}Release"), "<!doctype html>\n<title>Log in</title>\n");
    refused(lab, &[], &["dists/stable/Release`", "Not a release file", "<!doctype html>"])
}

fn weak(lab: &Lab) -> Result<()> {
    let suite = Suite { list: "MD5Sum", ..Suite::good("1.0")? };
    suite.put(&lab.upstream);
    refused(lab, &[], &["dists/stable/Release`", "no index by SHA256 or SHA512"])
}

fn dates(lab: &Lab) -> Result<()> {
    let mut suite = Suite::good("1.0")?;
    suite.head += "Valid-Until: Sun, 12 Jul 2020 10:16:37 UTC\n";
    suite.put(&lab.upstream);
    refused(lab, &[], &["dists/stable/Release`", "valid until 2020-07-12", "--allow-expired"])?;
    let mut suite = Suite::good("1.0")?;
    suite.head = suite.head.replace("11 Jul 2026", "04 Jul 2026");
    suite.put(&lab.upstream);
    refused_again(lab, &["is of 2026-07-04, the last one was of 2026-07-11", "--allow-downgrade"])
}

/// As [`refused`], where a version is there already and stays.
fn refused_again(lab: &Lab, words: &[&str]) -> Result<()> {
    let url = lab.upstream.url("");
    let before = lab.pulp.versions("deb", NAME)?;
    let (code, text) = lab.pulp.run_failing(&arguments(&url, &[]))?;
    ensure!(code == UPSTREAM, "Exit code {code} instead of {UPSTREAM}:\n{text}");
    for word in words {
        ensure!(text.contains(word), "`{word}` does not stand in the error:\n{text}");
    }
    ensure!(lab.pulp.versions("deb", NAME)? == before, "The versions are others");
    lab.pulp.has_no_temporary_files()
}

fn missing_index(lab: &Lab) -> Result<()> {
    let mut suite = Suite::good("1.0")?;
    suite.absent = suite.files.iter().map(|(path, _)| path.clone()).collect();
    suite.put(&lab.upstream);
    let words =
        ["Packages.gz` answered 404", "Packages.xz` answered 404", "binary-amd64/Packages`"];
    refused(lab, &[], &[&words[..], &["--ignore-missing-package-indices"]].concat())
}

fn one_wrong(lab: &Lab) -> Result<()> {
    Suite::good("1.0")?.put(&lab.upstream);
    lab.upstream.plan(&format!("{SUITE}{INDEX}.gz"), 5, &Fault::FlippedEnd);
    let summary = mirrored(lab, &["--policy", "immediate"])?;
    warned(&summary, &["Left out", "Packages.gz", "Digest mismatch"])?;
    ensure!(packages(lab)? == ["hello 1.0"], "Not what upstream has: {:?}", packages(lab)?);
    Ok(())
}

fn all_wrong(lab: &Lab) -> Result<()> {
    Suite::good("1.0")?.put(&lab.upstream);
    for suffix in ["", ".gz", ".xz"] {
        lab.upstream.plan(&format!("{SUITE}{INDEX}{suffix}"), 5, &Fault::FlippedEnd);
    }
    refused(lab, &[], &["Packages.gz` is not the expected file", "Packages.xz` is not", "mismatch"])
}

fn changing(lab: &Lab) -> Result<()> {
    Suite::good("1.0")?.put(&lab.upstream);
    let gate = Arc::new(Gate::default());
    lab.upstream.plan(&format!("{SUITE}{INDEX}.gz"), 1, &Fault::Held(Arc::clone(&gate)));
    let url = lab.upstream.url("");
    let running = lab.pulp.start(&arguments(&url, &["--policy", "immediate"]))?;
    gate.wait_for_arrivals(1)?;
    Suite::good("2.0")?.put(&lab.upstream);
    gate.open();
    let output = running.finish(PATIENCE)?;
    ensure!(output.status.success(), "It failed:\n{}", output.stderr);
    let summary: Value = serde_json::from_str(&output.stdout)?;
    warned(&summary, &["`stable` changed upstream while it was read"])?;
    ensure!(summary["version"] == 1, "Not one version: {summary}");
    ensure!(packages(lab)? == ["hello 2.0"], "A mixture: {:?}", packages(lab)?);
    lab.pulp.has_no_temporary_files()
}

fn truncated(lab: &Lab) -> Result<()> {
    let mut suite = Suite::empty();
    let stanzas: String = (0..500).map(|n| suite.package(&format!("p{n}"), "1.0")).collect();
    let mut bytes = compress("xz", stanzas.as_bytes())?;
    bytes.truncate(bytes.len() / 2);
    suite.files.push((format!("{INDEX}.xz"), bytes));
    suite.put(&lab.upstream);
    refused(lab, &["--policy", "on_demand"], &["Packages.xz`", "Failed to decompress"])
}

/// 1 GiB of empty lines, in 1 MiB: streams behind each other are one.
fn bomb(lab: &Lab) -> Result<()> {
    let bytes = compress("gzip", &vec![b'\n'; 16 << 20])?.repeat(64);
    let mut suite = Suite::good("1.0")?;
    suite.files.retain(|(path, _)| path == INDEX);
    suite.files.push((format!("{INDEX}.gz"), bytes));
    suite.put(&lab.upstream);
    refused(lab, &[], &["Packages.gz`", "decompresses to more than"])
}

fn endless_stanza(lab: &Lab) -> Result<()> {
    let bytes = compress("gzip", &vec![b'a'; 16 << 20])?.repeat(64);
    let mut suite = Suite::empty();
    suite.files.push((format!("{INDEX}.gz"), bytes));
    suite.put(&lab.upstream);
    refused(lab, &[], &["Packages.gz`", "begins in line 1 is longer than"])
}

fn bad_stanzas(lab: &Lab) -> Result<()> {
    let mut suite = Suite::empty();
    let good = suite.package("good", "1.0");
    let other = suite.package("other", "1.0");
    let change = |from: &str, to: &str| other.replacen(from, to, 1);
    let text = [
        good.clone(),
        change("Filename", "X-Filename"),
        change("Size: ", "Size: x"),
        change("SHA256: ", "SHA256: zz"),
        change("Version: 1.0\n", ""),
        "this is no field\n\n".to_owned(),
    ];
    suite.index(text.concat().as_bytes())?;
    suite.put(&lab.upstream);
    let summary = mirrored(lab, &["--policy", "immediate"])?;
    let file = "dists/stable/main/binary-amd64/Packages.gz";
    for (line, what) in [
        ("line 9 (`other`)", "no `Filename`"),
        ("line 17 (`other`)", "invalid `Size`"),
        ("line 25 (`other`)", "invalid `SHA256`"),
        ("line 33 (`other`)", "no `Version`"),
        ("Line 40", "`this is no field`"),
    ] {
        warned(&summary, &[file, line, what])?;
    }
    ensure!(packages(lab)? == ["good 1.0"], "Not the good one: {:?}", packages(lab)?);
    Ok(())
}

fn encodings(lab: &Lab) -> Result<()> {
    let mut suite = Suite::empty();
    let stanza = suite.package("hello", "1.0");
    let mut bytes = Vec::new();
    // Latin-1, UTF-8, a tab, a control character, a field without a value, carriage returns.
    for (field, value) in [
        (&b"Maintainer"[..], &b"J\xf6rg <j@example.invalid>"[..]),
        (b"X-Utf8", "größe 漢字".as_bytes()),
        (b"X-Tab", b"\ta\tb"),
        (b"X-Control", b"\x1b[31m"),
        (b"X-Empty", b""),
    ] {
        bytes.extend_from_slice(field);
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
    }
    let text = [&bytes[..], stanza.as_bytes()].concat();
    suite.index(&text)?;
    suite.put(&lab.upstream);
    mirrored(lab, &["--policy", "immediate"])?;
    let served = republished(lab, INDEX)?;
    ensure!(served.starts_with(&bytes), "Other bytes: {:?}", String::from_utf8_lossy(&served));
    Ok(())
}

fn duplicates(lab: &Lab) -> Result<()> {
    let mut suite = Suite::empty();
    let stanza = suite.package("hello", "1.0");
    let other = stanza.replace("Description: a package", "Description: another one");
    suite.index([stanza.clone(), stanza, other].concat().as_bytes())?;
    suite.put(&lab.upstream);
    let summary = mirrored(lab, &["--policy", "immediate"])?;
    warned(&summary, &["pool/hello_1.0_amd64.deb", "listed twice with different stanzas"])?;
    ensure!(packages(lab)? == ["hello 1.0"], "Not one package: {:?}", packages(lab)?);
    let served = republished(lab, INDEX)?;
    ensure!(!String::from_utf8_lossy(&served).contains("another one"), "Not the first one");
    Ok(())
}

fn lying_size(lab: &Lab) -> Result<()> {
    let mut suite = Suite::good("1.0")?;
    suite.pool[0].1 = b"longer than it was said to be".to_vec();
    suite.put(&lab.upstream);
    let words = ["pool/hello_1.0_amd64.deb", "Size mismatch"];
    refused(lab, &["--policy", "immediate"], &words)
}

fn climbing(lab: &Lab) -> Result<()> {
    let mut suite = Suite::empty();
    let good = suite.package("good", "1.0");
    let evil = suite.package("evil", "1.0").replace("pool/", "pool/../../../");
    let absolute = suite.package("root", "1.0").replace("pool/", "/etc/");
    suite.index([good, evil, absolute].concat().as_bytes())?;
    suite.lines = format!(" {} 3 ../../../escaped\n", "0".repeat(64));
    suite.put(&lab.upstream);
    let summary = mirrored(lab, &["--policy", "immediate"])?;
    warned(&summary, &["dists/stable/Release", "../../../escaped"])?;
    warned(&summary, &["Packages.gz", "line 9 (`evil`)", "invalid `Filename`"])?;
    warned(&summary, &["Packages.gz", "line 17 (`root`)", "invalid `Filename`"])?;
    ensure!(packages(lab)? == ["good 1.0"], "Not the good one: {:?}", packages(lab)?);
    let asked = lab.upstream.take_log();
    ensure!(!asked.iter().any(|seen| seen.path.contains("..")), "Asked for: {asked:?}");
    Ok(())
}

fn absent_files(lab: &Lab) -> Result<()> {
    let mut suite = Suite::good("1.0")?;
    for file in ["main/i18n/Translation-en", "main/i18n/Translation-de", "main/cnf/Commands-amd64"]
    {
        for suffix in [".xz", ".gz"] {
            suite.files.push((format!("{file}{suffix}"), b"not there".to_vec()));
            suite.absent.push(format!("{file}{suffix}"));
        }
    }
    suite.put(&lab.upstream);
    let summary = mirrored(lab, &["--policy", "immediate"])?;
    let missing = ["lists files that upstream does not have", "Translation-en`", "Commands-amd64`"];
    warned(&summary, &missing)?;
    // The other one says that nobody has signed anything.
    let count = summary["warnings"].as_array().map_or(0, Vec::len);
    ensure!(count == 2, "Not one warning for all: {summary}");
    Ok(())
}
