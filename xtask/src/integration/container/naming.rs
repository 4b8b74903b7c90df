//! Names as people type them: of images upstream, of patterns, of what is served here.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    super::{Case, Lab, case},
    UPSTREAM_NAME,
    scripted::{IMAGE, Scripted},
};
use crate::pulp::Mirrored;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("naming: an image's name is taken apart, and said how", image),
        case("naming: a remote keeps the path that its registry has", prefix),
        case("naming: what cannot be meant is refused as usage, and nothing is done", refused),
        case("naming: no distribution is where no client can pull", unreachable),
    ]
}

fn registry() -> Result<Scripted> {
    let registry = Scripted::start()?;
    registry.tag("v1", IMAGE, &registry.image("v1"));
    Ok(registry)
}

/// What a remote is, as the program shows it: its URL and the repository there.
fn remote(lab: &Lab, name: &str) -> Result<(String, String)> {
    let shown = lab.pulp.run(&["container", "remote", "show", "--name", name, "--json"])?;
    let shown: Value = serde_json::from_str(&shown)?;
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    text(&shown["url"])
        .zip(text(&shown["options"]["upstream_name"]))
        .with_context(|| format!("No URL or no name: {shown}"))
}

fn image(lab: &Lab) -> Result<()> {
    let registry = registry()?;
    let image = format!("{}/{UPSTREAM_NAME}", registry.url());
    let output = lab.pulp.try_run(&["mirror", "container", &image, "--json"])?;
    ensure!(output.status.success(), "{}", output.stderr);
    let told = format!("Repository `{UPSTREAM_NAME}` of the registry at {}/", registry.url());
    ensure!(output.stderr.contains(&told), "`{told}` is not said:\n{}", output.stderr);
    let mirrored = Mirrored::parse(&output.stdout)?;
    ensure!(mirrored.served_at == format!("/v2/{UPSTREAM_NAME}/"), "At {}", mirrored.served_at);
    let expected = (format!("{}/", registry.url()), UPSTREAM_NAME.to_owned());
    ensure!(remote(lab, UPSTREAM_NAME)? == expected, "{:?}", remote(lab, UPSTREAM_NAME)?);
    // The same again is the same repository; without the scheme, TLS is meant.
    let again = Mirrored::parse(&lab.pulp.run(&["mirror", "container", &image, "--json"])?)?;
    ensure!(again.version.is_none(), "Not the same repository: {again:?}");
    let bare = image.trim_start_matches("http://");
    let words = ["mirror", "container", bare, "--name", "tls", "--max-retries", "0"];
    let (code, told) = lab.pulp.run_failing(&words)?;
    ensure!(code == 3 && told.contains("https://127.0.0.1:"), "{code}: {told}");
    Ok(())
}

fn prefix(lab: &Lab) -> Result<()> {
    let registry = registry()?;
    // As a proxy serves a registry below a path; what is there is nothing, so each mirror fails.
    let url = format!("{}/proxied", registry.url());
    let create = ["container", "remote", "create", "--name", "app", "--url", &url];
    lab.pulp.run(&[&create[..], &["--upstream-name", UPSTREAM_NAME]].concat())?;
    registry.take_log();
    let (code, told) = lab.pulp.run_failing(&["mirror", "container", &url, "--name", "app"])?;
    ensure!(code == 3 && !told.contains("Repository `proxied`"), "{code}: {told}");
    let asked = registry.take_log();
    ensure!(asked.iter().all(|request| request.contains("/proxied/")), "Asked for {asked:?}");
    ensure!(remote(lab, "app")? == (url, UPSTREAM_NAME.to_owned()), "{:?}", remote(lab, "app")?);
    Ok(())
}

fn refused(lab: &Lab) -> Result<()> {
    let registry = registry()?;
    let url = registry.url();
    let tagged = format!("{url}/{UPSTREAM_NAME}:v1");
    let cases: [(&[&str], &str); 7] = [
        (&["library/debian"], "write `docker.io/library/debian`"),
        (&[&tagged], "--tag v1`"),
        (&[&url, "--name", "app"], "`--upstream-name`"),
        (&[&tagged, "--include-tags", "regex:["], "\"[\": unclosed character class"),
        (&[&url, "--upstream-name", "a", "--exclude-tags", "semver:x.y"], "\"x.y\": unexpected"),
        (&["ftp://127.0.0.1/a", "--name", "app"], "scheme `ftp`"),
        (&["/srv/layout", "--name", "app"], "`file:///srv/layout`"),
    ];
    for (words, told) in cases {
        let (code, said) = lab.pulp.run_failing(&[&["mirror", "container"], words].concat())?;
        ensure!(code == 2, "Exit code {code} for {words:?}, expected 2:\n{said}");
        ensure!(said.contains(told), "`{told}` is not said of {words:?}:\n{said}");
    }
    let through = ["container", "pull-through", "localhost:5000/library", "--name", "app"];
    let (code, said) = lab.pulp.run_failing(&[&through[..], &["--repository", "**"]].concat())?;
    ensure!(code == 2 && said.contains("write `https://localhost:5000/`"), "{code}: {said}");
    ensure!(registry.take_log().is_empty(), "Upstream was asked");
    let remotes = lab.pulp.run(&["container", "remote", "list", "--json"])?;
    ensure!(remotes.trim() == "[]", "A remote is left: {remotes}");
    Ok(())
}

fn unreachable(lab: &Lab) -> Result<()> {
    let registry = registry()?;
    let image = format!("{}/{UPSTREAM_NAME}", registry.url());
    let file = lab.pulp.home().with_file_name("pulp.yaml");
    std::fs::write(
        &file,
        format!("repositories: [{{name: A, plugin: container, url: '{}'}}]\n", registry.url()),
    )?;
    let file = file.display().to_string();
    let create = ["container", "distribution", "create", "--name"];
    lab.pulp.run(&[&create[..], &["a"]].concat())?;
    let cases: [&[&str]; 5] = [
        &["mirror", "container", &image, "--name", "Team/App"],
        &["apply", &file],
        &["container", "distribution", "create", "--name", "a--.b"],
        &["container", "distribution", "create", "--name", "b", "--base-path", "b_-c"],
        &["container", "distribution", "update", "--name", "a", "--base-path", "A"],
    ];
    for words in cases {
        let (code, said) = lab.pulp.run_failing(words)?;
        ensure!(code == 2, "Exit code {code} for {words:?}, expected 2:\n{said}");
        let told = "No client can pull from `";
        ensure!(said.contains(told) && said.contains("lower-case letters"), "{words:?}: {said}");
    }
    ensure!(registry.take_log().is_empty(), "Upstream was asked");
    for empty in ["a//b", "../a", "a/"] {
        let (code, said) = lab.pulp.run_failing(&[&create[..], &[empty]].concat())?;
        ensure!(code == 2, "Exit code {code} for `{empty}`: {said}");
    }
    // The grammar is that of registries alone.
    lab.pulp.run(&["file", "distribution", "create", "--name", "Team/Files"]).map(drop)
}
