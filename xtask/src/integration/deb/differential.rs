//! What is published anew against upstream's own indices, field by field, as python-debian reads
//! them.

use std::{fs, process::Command};

use anyhow::Result;

use super::{
    Case, Lab, NAME, republished,
    suite::{INDEX, Suite, compress},
};
use crate::run;

/// Compares two files of stanzas: the same ones, each with the same fields and values.
const COMPARE: &str = r#"
import sys
from debian.deb822 import Deb822
def read(path):
    with open(path, "rb") as file:
        for one in Deb822.iter_paragraphs(file, use_apt_pkg=False):
            fields = dict(one)
            key = tuple(fields.get(key) for key in ("Package", "Version", "Architecture"))
            # A suite's stanzas are too many to keep, twice, field by field.
            yield key, hash(frozenset(fields.items()))
def counted(stanzas):
    stanzas = list(stanzas)
    return len(stanzas), dict(stanzas)
(count, upstream), (served_count, served) = (counted(read(path)) for path in sys.argv[1:])
lost, new = upstream.keys() - served.keys(), served.keys() - upstream.keys()
changed = [key for key in upstream.keys() & served.keys() if upstream[key] != served[key]]
print(count, served_count, sorted(map(str, lost)), sorted(map(str, new)), sorted(map(str, changed)))
sys.exit(count != served_count or bool(lost or new or changed))
"#;

/// Stanzas of each kind.
const COUNT: usize = 300;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, needs: &["python3:debian", "gzip", "xz"], run };
    vec![case("structured indices have upstream's stanzas, field by field", same_stanzas)]
}

fn same_stanzas(lab: &Lab) -> Result<()> {
    let mut suite = Suite::empty();
    let packages: String = (0..COUNT).map(|number| package(&mut suite, number)).collect();
    let sources: String = (0..COUNT).map(source).collect();
    suite.index(packages.as_bytes())?;
    suite.files.push(("main/source/Sources.xz".to_owned(), compress("xz", sources.as_bytes())?));
    suite.put(&lab.upstream);
    let url = lab.upstream.url("");
    let what = ["--distribution", "stable", "--sources", "--policy", "on_demand", "--json"];
    lab.pulp.run(&[&["mirror", "deb", &url, "--name", NAME][..], &what].concat())?;
    for (path, upstream) in [(INDEX, packages), ("main/source/Sources", sources)] {
        compare(upstream.as_bytes(), &republished(lab, path)?)?;
    }
    Ok(())
}

/// An error unless both are the same stanzas.
pub(super) fn compare(upstream: &[u8], served: &[u8]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (one, other) = (folder.path().join("upstream"), folder.path().join("served"));
    fs::write(&one, upstream)?;
    fs::write(&other, served)?;
    let mut command = Command::new(crate::probe::PYTHON);
    run::output_of(command.args(["-c", COMPARE]).arg(one).arg(other)).map(drop)
}

/// A stanza with fields that differ from one to the next: unknown ones, long ones, in any case.
fn package(suite: &mut Suite, number: usize) -> String {
    let architecture = if number.is_multiple_of(7) { "all" } else { "amd64" };
    let stanza =
        suite.package(&format!("package-{number}"), &format!("1:{number}.0~rc1-2+b{number}"));
    let stanza =
        stanza.replacen("Architecture: amd64", &format!("Architecture: {architecture}"), 1);
    let depends = vec![format!("libpackage{number} (>= {number}.0) | other"); number % 40 + 1];
    let tags = ["role::program", "interface::text-mode,\n uitoolkit::ncurses"][number % 2];
    let fields = format!(
        "Depends: {}\nX-Unknown-Field-{number}: kept\nSHA512: {}\nTag: {tags}\nMULTI-ARCH: foreign\n\
         Description: größe {number}\n a long text\n .\n  * indented\n",
        depends.join(", "),
        "ab".repeat(64),
    );
    stanza.replacen("Description: a package\n", &fields, 1)
}

fn source(number: usize) -> String {
    let digest = crate::pulp::sha256(number.to_string().as_bytes());
    format!(
        "Package: source-{number}\nFormat: 3.0 (quilt)\nBinary: package-{number},\n package-x\n\
         Architecture: any\nVersion: {number}.0-1\nX-Odd: {number}\nDirectory: pool/{number}\n\
         Package-List:\n package-{number} deb net optional arch=any\n\
         Checksums-Sha256:\n {digest} {number} source_{number}.dsc\n {digest} 7 source_{number}.tar.xz\n\n"
    )
}
