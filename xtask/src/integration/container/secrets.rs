//! What a registry keeps secret, and goes on to know when it is encrypted anew: the key that signs
//! its tokens, the passwords of its upstreams.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    super::{Case, Lab, case},
    NAME, UPSTREAM_NAME,
    access::{ALICE, ask, repositories, serve, token},
    scripted::{IMAGE, Scripted},
};
use crate::pulp::{Installation, digest_of};

/// As databases have it while there is no key: the one keeps the text, the other lays it out.
const PASSWORD: [&str; 2] = [r#""password":"secret""#, r#""password": "secret""#];

pub(super) fn cases() -> Vec<Case> {
    vec![case("secrets: tokens and upstreams' passwords stay good when keys rotate", rotated)]
}

/// A registry that asks alice for her password, filled from another one.
fn private(lab: &Lab) -> Result<(Installation, String)> {
    let registry = Scripted::start()?;
    registry.tag("v1", IMAGE, &registry.image("v1"));
    let source = lab.pulp.another()?;
    let url = format!("{}/{UPSTREAM_NAME}", registry.url());
    source.run(&["mirror", "container", &url, "--name", NAME, "--pull-user", "alice"])?;
    Ok((source, digest_of("sha256", b"layer v1")))
}

fn is_readable(pulp: &Installation) -> Result<bool> {
    Ok(pulp.stores(PASSWORD[0])? || pulp.stores(PASSWORD[1])?)
}

fn rotated(lab: &Lab) -> Result<()> {
    let (source, layer) = private(lab)?;
    let upstream = serve(&source, &[])?;
    let url = format!("http://{}/{NAME}", upstream.address);
    let mirror = ["mirror", "container", &url, "--name", NAME, "--policy", "on_demand"];
    lab.pulp.run(&[&mirror[..], &["--username", "alice", "--password", "secret"]].concat())?;
    repositories(&lab.pulp)?;
    let serving = serve(&lab.pulp, &[])?;
    let shown = token(&serving, Some(ALICE), &["repository:private:pull"])?;
    ask(&serving, "GET", "/v2/private/tags/list", Some(&shown))?.expect(200)?;
    let signing = fs::read(lab.pulp.home().join("keys/container/token.key"))?;
    ensure!(is_readable(&lab.pulp)?, "Without a key file, it is stored as it is");

    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (first, second) = (path("first"), path("second"));
    lab.pulp.run(&["secret", "create-key", &first])?;
    let rotate = ["--secret-key-file", &first, "secret", "rotate", "--json"];
    let told = lab.pulp.run(&rotate)?;
    ensure!(told.contains(r#""remotes":1,"key_files":1"#), "Rotated: {told}");
    // A server that was there before needs no key before it starts again.
    ask(&serving, "GET", "/v2/private/tags/list", Some(&shown))?.expect(200)?;
    serving.stop()?;
    ensure!(!is_readable(&lab.pulp)?, "The password is still readable");
    ensure!(!lab.pulp.holds(&signing)?, "The key of tokens is still readable");
    let (_, error) = lab.pulp.run_failing(&["serve", "--listen", "127.0.0.1:0"])?;
    ensure!(error.contains("PULP_SECRET_KEY_FILE"), "{error}");

    let serving = serve(&lab.pulp, &["--secret-key-file", &first])?;
    ask(&serving, "GET", "/v2/private/tags/list", Some(&shown))?
        .expect(200)
        .context("Another key signs tokens now")?;
    let blob = ask(&serving, "GET", &format!("/v2/{NAME}/blobs/{layer}"), None)?.expect(200)?;
    ensure!(blob.body == b"layer v1", "Another layer");
    serving.stop()?;

    // A new key on top of the old one, and then alone.
    lab.pulp.run(&["secret", "create-key", &second])?;
    let both = format!("{}{}", fs::read_to_string(&second)?, fs::read_to_string(&first)?);
    fs::write(&first, both)?;
    lab.pulp.run(&rotate)?;
    let alone = ["--secret-key-file", &second];
    let forced = [&alone[..], &["sync", NAME, "--force", "--json"]].concat();
    let synced: Value = serde_json::from_str(&lab.pulp.run(&forced)?)?;
    ensure!(synced["requests"].as_u64() > Some(0), "Upstream was not asked: {synced}");
    let serving = serve(&lab.pulp, &alone)?;
    ask(&serving, "GET", "/v2/private/tags/list", Some(&shown))?.expect(200)?;
    let renewed = token(&serving, Some(ALICE), &["repository:private:pull"])?;
    ask(&serving, "GET", "/v2/private/tags/list", Some(&renewed))?.expect(200)?;
    serving.stop()?;
    upstream.stop()
}
