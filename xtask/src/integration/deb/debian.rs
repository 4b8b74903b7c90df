//! A suite of Debian's own, as this machine's apt has fetched it: all of its packages, signed by
//! Debian, and nothing of it made for tests.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{Case, Lab, NAME, differential::compare, served_anew};
use crate::{
    integration::{
        Unavailable,
        interrupt::{interrupt, is_taking_up},
    },
    process,
    pulp::Mirrored,
    run::{self, Running},
};

/// The keys that Debian signs with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Decompresses what apt keeps, however it keeps it.
const HELPER: &str = "/usr/lib/apt/apt-helper";

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, needs: &["apt-get", "python3:debian"], run };
    vec![
        case(
            "Debian's own suite is believed, and has every stanza when published anew",
            published_anew,
        ),
        case("interrupted: a large copy and a large publication leave nothing", interrupted),
    ]
}

/// A list of packages that apt has, and the release file that names it.
struct List {
    suite: String,
    component: String,
    architecture: String,
    /// Below the suite.
    path: String,
    release: Vec<u8>,
    packages: Vec<u8>,
}

impl List {
    /// The largest one of Debian's, which is the suite's that the machine runs.
    fn largest() -> Result<Option<Self>> {
        let fields = "$(RELEASE)|$(COMPONENT)|$(ARCHITECTURE)|$(METAKEY)|$(FILENAME)";
        let mut command = Command::new("apt-get");
        command.args(["indextargets", "--format", fields, "Created-By: Packages"]);
        let targets = run::output_of(&mut command)?;
        let mut found = Vec::new();
        for line in targets.lines() {
            let fields: Vec<_> = line.split('|').collect();
            let &[suite, component, architecture, path, file] = &fields[..] else { continue };
            let in_names = format!("_dists_{}_", suite.replace('/', "_"));
            let Some((site, _)) = file.split_once(&in_names) else { continue };
            let Ok(release) = fs::read(format!("{site}{in_names}InRelease")) else { continue };
            if String::from_utf8_lossy(&release).contains("\nOrigin: Debian\n") {
                let size = fs::metadata(file)?.len();
                let [suite, component, architecture, path] =
                    [suite, component, architecture, path].map(str::to_owned);
                let packages = Vec::new();
                let list = Self { suite, component, architecture, path, release, packages };
                found.push((size, file, list));
            }
        }
        let Some((_, file, mut list)) = found.into_iter().max_by_key(|(size, ..)| *size) else {
            return Ok(None);
        };
        let packages = Command::new(HELPER).arg("cat-file").arg(file).output()?;
        ensure!(packages.status.success(), "`{HELPER}` cannot read `{file}`");
        list.packages = packages.stdout;
        Ok(Some(list))
    }
}

/// Mirrors the list on demand; says what it was, and the path of its index.
fn mirror(lab: &Lab) -> Result<(List, String)> {
    if !Path::new(KEYRING).exists() {
        return Err(Unavailable("this machine knows no keys of Debian's".to_owned()).into());
    }
    let Some(list) = List::largest()? else {
        return Err(Unavailable("apt has no list of Debian's here".to_owned()).into());
    };
    let folder = format!("dists/{}", list.suite);
    let index = format!("{folder}/{}", list.path);
    lab.upstream.put(&format!("{folder}/InRelease"), &list.release[..]);
    lab.upstream.put(&index, &list.packages[..]);
    let url = lab.upstream.url("");
    let what = ["--name", NAME, "--distribution", &list.suite, "--component", &list.component];
    let how = ["--architecture", &list.architecture, "--keyring", KEYRING, "--json"];
    let mirror = ["mirror", "deb", &url, "--policy", "on_demand"];
    let mirrored = Mirrored::parse(&lab.pulp.run(&[&mirror[..], &what, &how].concat())?)?;
    let doubts = mirrored.warnings.iter().find(|told| told.contains("keyring"));
    ensure!(doubts.is_none(), "Debian is not believed: {doubts:?}");
    let text = String::from_utf8_lossy(&list.packages);
    let count = text.lines().filter(|line| line.starts_with("Package: ")).count() as u64;
    ensure!(mirrored.added > count, "{count} stanzas, but: {mirrored:?}");
    Ok((list, index))
}

fn published_anew(lab: &Lab) -> Result<()> {
    let (list, index) = mirror(lab)?;
    compare(&list.packages, &served_anew(lab, &index)?).context("Published anew")
}

/// So many packages that a command is at them for a while.
fn interrupted(lab: &Lab) -> Result<()> {
    mirror(lab)?;
    let publications = || lab.pulp.run(&["deb", "publication", "list", "--repository", NAME]);
    let before = publications()?;
    let publish = ["deb", "publication", "create", "--repository", NAME, "--publish", "structured"];
    interrupt(&lab.pulp, &publish, |_| Ok(is_taking_up(&lab.pulp)))?;
    ensure!(publications()? == before, "There is another publication");
    lab.pulp.run(&["deb", "repository", "create", "--name", "other"])?;
    let copy = ["deb", "copy", "--from", NAME, "--to", "other"];
    let is_copying = |running: &mut Running| Ok(process::cpu_of(running.id()) > Some(1.0));
    interrupt(&lab.pulp, &copy, is_copying)?;
    ensure!(lab.pulp.versions("deb", "other")?.len() == 1, "A version was made");
    lab.pulp.run(&["check"])?;
    lab.pulp.run(&copy).map(drop)
}
