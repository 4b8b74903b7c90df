//! RPM repositories, end to end: the example of a third party's program (`examples/rpm`) mirrors what
//! `createrepo_c` makes of packages by `rpmbuild`, and `dnf` uses what it serves.
//!
//! Here stand the cases; [`repository`] makes the upstream, [`dnf`] is the client.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Case, Lab};
use crate::{
    pulp::{Mirrored, Serving, content_path},
    run,
};

mod repository;
mod dnf;

use dnf::Dnf;
use repository::{Primary, Repository};

/// The name under which cases mirror.
const NAME: &str = "team/rpms";
/// Where the repository lies upstream.
const FOLDER: &str = "rpm";
const NEEDS: &[&str] =
    &["rpmbuild", "createrepo_c", "dnf", "python3:dnfpluginscore", "zstd", "curl"];

/// Every case of this suite.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, needs: NEEDS, run };
    vec![
        case("immediate, gzip: dnf finds and downloads what upstream has", |lab| {
            used(lab, "immediate", Primary::By("gz"))
        }),
        case("on_demand, gzip: dnf finds and downloads what upstream has", |lab| {
            used(lab, "on_demand", Primary::By("gz"))
        }),
        case("immediate, zstd: dnf finds and downloads what upstream has", |lab| {
            used(lab, "immediate", Primary::Zstd)
        }),
        case("on_demand, zstd: dnf finds and downloads what upstream has", |lab| {
            used(lab, "on_demand", Primary::Zstd)
        }),
        case("on_demand, xz: dnf finds and downloads what upstream has", |lab| {
            used(lab, "on_demand", Primary::By("xz"))
        }),
        case("immediate, bzip2: dnf finds and downloads what upstream has", |lab| {
            used(lab, "immediate", Primary::By("bz2"))
        }),
        case("a package more is a new version, for dnf too", updated),
    ]
}

fn mirror(lab: &Lab, more: &[&str]) -> Result<Mirrored> {
    let url = lab.upstream.url(&format!("{FOLDER}/"));
    let fixed = ["mirror", "rpm", &url, "--name", NAME, "--json"];
    Mirrored::parse(&lab.pulp.run(&[&fixed, more].concat())?)
}

/// A package, one that it needs, and one of an architecture.
fn repository() -> Result<Repository> {
    let repository = Repository::new()?;
    repository.add("hello", "1.0-1", "noarch", &["hello-data = 2:1.5"])?;
    repository.add("hello-data", "2:1.5-3", "noarch", &[])?;
    repository.add("hello-tool", "0.9~rc1-2", "x86_64", &["hello"])?;
    Ok(repository)
}

fn used(lab: &Lab, policy: &str, primary: Primary) -> Result<()> {
    let repository = repository()?;
    repository.index(primary, &[])?;
    lab.upstream.mount(&repository.served());
    let mirrored = mirror(lab, &["--policy", policy])?;
    let files = repository.files()?;
    let count = files.len() as u64;
    ensure!((mirrored.version, mirrored.added) == (Some(1), count), "Not all: {mirrored:?}");
    let fetched = packages_asked(lab);
    let expected = if policy == "immediate" { 3 } else { 0 };
    ensure!(fetched.len() == expected, "The sync fetched {fetched:?}");

    let serving = lab.pulp.serve()?;
    let dnf = Dnf::new(&served_at(&serving))?;
    dnf.make_cache()?;
    let found = dnf.query(&[])?;
    let all =
        ["hello-0:1.0-1.noarch", "hello-data-2:1.5-3.noarch", "hello-tool-0:0.9~rc1-2.x86_64"];
    ensure!(found == all, "dnf finds {found:?}");
    let owner = dnf.query(&["--file", "/usr/share/hello-data/version"])?;
    ensure!(owner == ["hello-data-2:1.5-3.noarch"], "dnf finds as owner of a file {owner:?}");
    for (name, bytes) in dnf.download(&["hello-tool"])? {
        let path = format!("Packages/{name}");
        let known = files.iter().find(|(known, _)| *known == path);
        let (_, upstream) = known.with_context(|| format!("dnf downloaded `{name}`"))?;
        ensure!(bytes == *upstream, "dnf downloaded another `{name}` than upstream's");
    }
    let fetched = packages_asked(lab);
    ensure!(fetched.len() == 3 - expected, "The client made it fetch {fetched:?}");
    for (path, bytes) in &files {
        let url = format!("http://{}{}", serving.address, content_path(NAME, path));
        let curl = Command::new("curl").args(["-fsS", "--noproxy", "*", &url]).output()?;
        ensure!(curl.status.success(), "curl cannot fetch `{path}`");
        ensure!(curl.stdout == *bytes, "`{path}` is served with other bytes than upstream's");
    }
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

/// Metadata keeps its names here, so that new bytes come at an old path.
fn updated(lab: &Lab) -> Result<()> {
    let same_names = ["--simple-md-filenames"];
    let repository = repository()?;
    repository.index(Primary::By("gz"), &same_names)?;
    lab.upstream.mount(&repository.served());
    mirror(lab, &["--policy", "on_demand"])?;
    let serving = lab.pulp.serve()?;
    let dnf = Dnf::new(&served_at(&serving))?;
    ensure!(dnf.query(&["hello*"])?.len() == 3, "dnf does not find the first version");

    lab.upstream.take_log();
    let again = mirror(lab, &["--policy", "on_demand"])?;
    ensure!(again.version.is_none(), "Nothing changed, but: {again:?}");
    let asked = lab.upstream.take_log();
    ensure!(asked.len() == 1, "Upstream was asked for {asked:?}");

    repository.add("hello-more", "3.0-1", "noarch", &["hello"])?;
    repository.index(Primary::By("gz"), &same_names)?;
    let second = mirror(lab, &["--policy", "on_demand"])?;
    ensure!(second.version == Some(2), "Not version 2: {second:?}");
    ensure!(second.present == again.present + 1, "Not one more: {second:?}");
    let found = dnf.query(&["--refresh", "hello-more"])?;
    ensure!(found == ["hello-more-0:3.0-1.noarch"], "dnf finds {found:?}");

    repository.remove("hello-tool")?;
    repository.index(Primary::By("gz"), &same_names)?;
    let third = mirror(lab, &["--policy", "on_demand", "--mirror"])?;
    ensure!(third.version == Some(3), "Not version 3: {third:?}");
    let found = dnf.query(&["--refresh", "hello*"])?;
    ensure!(!found.iter().any(|name| name.contains("tool")), "dnf finds {found:?}");
    for (path, bytes) in repository.files()? {
        let served = serving.get(NAME, &path)?.expect(200)?;
        ensure!(served.body == bytes, "`{path}` is served with other bytes than upstream's");
    }
    serving.stop()
}

fn served_at(serving: &Serving) -> String {
    format!("http://{}{}", serving.address, content_path(NAME, ""))
}

/// The packages that upstream was asked for since the last call.
fn packages_asked(lab: &Lab) -> Vec<String> {
    let paths = lab.upstream.take_log().into_iter().map(|seen| seen.path);
    paths.filter(|path| path.contains("/Packages/")).collect()
}

/// The lines that a program printed, sorted.
fn lines_of(command: &mut Command) -> Result<Vec<String>> {
    let text = run::output_of(command)?;
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}
