//! Who may pull, push, mount and list: users, rights and tokens, as clients meet them.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    super::{Case, Lab, case},
    NAME, NEEDS, copy, raw_manifest,
    registry::{Registry, UPSTREAM_NAME},
};
use crate::{
    client::{self, Reply},
    pulp::{Installation, Mirrored, Serving, digest_of},
    run,
};

/// Their passwords are `secret` and `other`.
const USERS: &str = "\
alice:$2y$05$d2NtQPL.7uBoySvjGYE24eqGQF1pTz5hjn54X2nZqnAGkEsuOhA1e
bob:$2y$05$wUluQYm1i5kVSgQKArguW.dguTCyNkwtBz.wwqMAp0HZKG/1ngwtG
";
pub(super) const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";
const BOB: &str = "Basic Ym9iOm90aGVy";
const BOB_WRONG: &str = "Basic Ym9iOndyb25n";
const TOKENS: &str = "/v2/_token";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("access: without users nobody pushes by default", nobody),
        case("access: tokens open what their users may see, and nothing tells of the rest", tokens),
        case("access: passwords are good without a token", passwords),
        case("access: blobs are mounted from what the caller may read only", mounts),
        case("access: a users file that is wrong stops the server from starting", wrong_file),
        Case {
            name: "access: skopeo and podman log in, push and pull",
            needs: &["podman", "skopeo", "docker-registry", "tar", "gzip"],
            run: clients,
        },
        Case {
            name: "access: a private repository is mirrored on demand with its user's password",
            needs: NEEDS,
            run: mirrored,
        },
    ]
}

fn repository(pulp: &Installation, name: &str, options: &[&str]) -> Result<()> {
    let create = ["container", "repository", "create", "--name", name];
    pulp.run(&[&create[..], options].concat())?;
    let distribution = ["container", "distribution", "create", "--name", name];
    pulp.run(&[&distribution[..], &["--repository", name]].concat()).map(drop)
}

/// `public` is alice's to push to, `private` too and hers to see, `open` is anybody's.
pub(super) fn repositories(pulp: &Installation) -> Result<()> {
    repository(pulp, "public", &["--push", "--push-user", "alice"])?;
    repository(pulp, "private", &["--private", "--push", "--push-user", "alice"])?;
    repository(pulp, "open", &["--anonymous-push"])
}

pub(super) fn serve(pulp: &Installation, more: &[&str]) -> Result<Serving> {
    let file = users_file(pulp, USERS)?;
    let file = file.to_str().context("The temporary folder is not UTF-8")?;
    pulp.serve_with(&[&["--users-file", file], more].concat())
}

fn users_file(pulp: &Installation, text: &str) -> Result<PathBuf> {
    fs::create_dir_all(pulp.home())?;
    let file = pulp.home().join("users");
    fs::write(&file, text)?;
    Ok(file)
}

pub(super) fn ask(
    serving: &Serving,
    method: &str,
    path: &str,
    shown: Option<&str>,
) -> Result<Reply> {
    let headers: Vec<_> = shown.iter().map(|shown| ("Authorization", *shown)).collect();
    client::exchange(serving.address, method, path, &headers, b"")
}

/// A header with a token for these scopes.
pub(super) fn token(serving: &Serving, shown: Option<&str>, scopes: &[&str]) -> Result<String> {
    let scopes: Vec<_> = scopes.iter().map(|scope| format!("scope={scope}")).collect();
    let path = format!("{TOKENS}?service=x&{}", scopes.join("&"));
    let reply = ask(serving, "GET", &path, shown)?.expect(200)?;
    let document: Value = serde_json::from_slice(&reply.body)?;
    ensure!(document["expires_in"] == 300 && document["token"] == document["access_token"]);
    Ok(format!("Bearer {}", document["token"].as_str().context("No token")?))
}

/// The status, and what a client is told.
fn told(reply: &Reply) -> (u16, String) {
    (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
}

fn nobody(lab: &Lab) -> Result<()> {
    repositories(&lab.pulp)?;
    let serving = lab.pulp.serve()?;
    ask(&serving, "GET", "/v2/", None)?.expect(200)?;
    let refused = ask(&serving, "POST", "/v2/public/blobs/uploads/", None)?.expect(403)?;
    ensure!(told(&refused).1.contains("--users-file"), "{:?}", told(&refused));
    ask(&serving, "POST", "/v2/open/blobs/uploads/", None)?.expect(202)?;
    // What is shown to a server without users is nobody's.
    ask(&serving, "GET", "/v2/private/tags/list", Some(ALICE))?.expect(404)?;
    ask(&serving, "GET", TOKENS, Some(ALICE))?.expect(404)?;
    serving.stop()
}

fn tokens(lab: &Lab) -> Result<()> {
    repositories(&lab.pulp)?;
    let serving = serve(&lab.pulp, &[])?;
    let ask = |method: &str, path: &str, shown: Option<&str>| ask(&serving, method, path, shown);

    // The challenge says where tokens are, and an empty one is one.
    let stranger = ask("GET", "/v2/", None)?.expect(401)?;
    let challenge = stranger.header("www-authenticate").unwrap_or_default();
    let (host, realm) = (serving.address, format!("http://{}{TOKENS}", serving.address));
    let expected = format!("Bearer realm=\"{realm}\",service=\"{host}\"");
    ensure!(challenge == expected, "Expected {expected}, got {challenge}");
    let anonymous = token(&serving, None, &["repository:private:pull"])?;
    ask("GET", "/v2/", Some(&anonymous))?.expect(200)?;

    // Public ones are read without further ado; private and missing ones look alike.
    ask("GET", "/v2/public/tags/list", None)?.expect(200)?;
    for shown in [None, Some(&*anonymous)] {
        let private = ask("GET", "/v2/private/tags/list", shown)?.expect(401)?;
        let missing = ask("GET", "/v2/missing/tags/list", shown)?.expect(401)?;
        let (private, missing) = (told(&private).1, told(&missing).1);
        ensure!(private.replace("private", "missing") == missing, "{private} {missing}");
    }
    let scopes = ["repository:private:pull,push", "repository:missing:pull", "repository:public:*"];
    let bob = token(&serving, Some(BOB), &scopes)?;
    let private = told(&ask("GET", "/v2/private/tags/list", Some(&bob))?.expect(404)?).1;
    let missing = told(&ask("GET", "/v2/missing/tags/list", Some(&bob))?.expect(404)?).1;
    ensure!(private.replace("private", "missing") == missing, "{private} {missing}");
    ask("GET", TOKENS, Some(BOB_WRONG))?.expect(401)?;

    // Pushing needs the right and a token for it.
    let uploads = "/v2/public/blobs/uploads/";
    let challenge = ask("POST", uploads, None)?.expect(401)?;
    let challenge = challenge.header("www-authenticate").unwrap_or_default().to_owned();
    ensure!(challenge.contains("scope=\"repository:public:pull,push\""), "{challenge}");
    ask("POST", uploads, Some(&bob))?.expect(403)?;
    let pull = token(&serving, Some(ALICE), &["repository:public:pull"])?;
    let other = ask("POST", uploads, Some(&pull))?.expect(401)?;
    let challenge = other.header("www-authenticate").unwrap_or_default();
    ensure!(challenge.contains("insufficient_scope"), "{challenge}");
    let push = token(&serving, Some(ALICE), &["repository:public:push", scopes[0]])?;
    ask("POST", uploads, Some(&push))?.expect(202)?;
    ask("GET", "/v2/private/tags/list", Some(&push))?.expect(200)?;
    let broken = push[..push.len() - 2].to_owned();
    ask("GET", "/v2/public/tags/list", Some(&broken))?.expect(401)?;

    // The catalog lists what its reader may pull from.
    let catalog = |shown: Option<&str>| -> Result<Value> {
        let reply = ask("GET", "/v2/_catalog", shown)?.expect(200)?;
        Ok(serde_json::from_slice::<Value>(&reply.body)?["repositories"].clone())
    };
    let all = token(&serving, Some(ALICE), &["registry:catalog:*"])?;
    ensure!(catalog(Some(&all))? == json!(["open", "private", "public"]), "Alice's differs");
    for shown in [None, Some(BOB), Some(&*anonymous), Some(&*push)] {
        ensure!(catalog(shown)? == json!(["open", "public"]), "{shown:?}: {}", catalog(shown)?);
    }
    serving.stop()
}

fn passwords(lab: &Lab) -> Result<()> {
    repositories(&lab.pulp)?;
    let serving = serve(&lab.pulp, &["--login", "basic"])?;
    let stranger = ask(&serving, "GET", "/v2/", None)?.expect(401)?;
    ensure!(stranger.header("www-authenticate") == Some("Basic realm=\"registry\""));
    ask(&serving, "GET", "/v2/", Some(ALICE))?.expect(200)?;
    ask(&serving, "GET", "/v2/", Some(BOB_WRONG))?.expect(401)?;
    ask(&serving, "GET", "/v2/private/tags/list", Some(ALICE))?.expect(200)?;
    ask(&serving, "GET", "/v2/private/tags/list", Some(BOB))?.expect(404)?;
    ask(&serving, "POST", "/v2/private/blobs/uploads/", Some(ALICE))?.expect(202)?;
    ask(&serving, "POST", "/v2/public/blobs/uploads/", Some(BOB))?.expect(403)?;
    ask(&serving, "GET", TOKENS, Some(ALICE))?.expect(404)?;
    // Lists of users can be emptied; then every user is meant.
    let update = ["container", "repository", "update", "--name", "public", "--unset"];
    lab.pulp.run(&[&update[..], &["push-user"]].concat())?;
    ask(&serving, "POST", "/v2/public/blobs/uploads/", Some(BOB))?.expect(202)?;
    ask(&serving, "POST", "/v2/public/blobs/uploads/", None)?.expect(401)?;
    let (code, told) = lab.pulp.run_failing(&[&update[..], &["push-users"]].concat())?;
    ensure!(code == 2 && told.contains("push-user, "), "{code}: {told}");
    serving.stop()?;
    // A private repository is not to be had another way.
    let serving = lab.pulp.serve()?;
    client::get(serving.address, "/pulp/content/private/")?.expect(404)?;
    serving.stop()
}

fn mounts(lab: &Lab) -> Result<()> {
    repositories(&lab.pulp)?;
    let serving = serve(&lab.pulp, &[])?;
    let digest = digest_of("sha256", b"shared");
    let headers = [("Authorization", ALICE)];
    let path = format!("/v2/private/blobs/uploads/?digest={digest}");
    client::exchange(serving.address, "POST", &path, &headers, b"shared")?.expect(201)?;
    let mount = format!("/v2/open/blobs/uploads/?mount={digest}&from=private");
    for shown in [None, Some(BOB)] {
        ask(&serving, "POST", &mount, shown)?.expect(202)?;
    }
    ask(&serving, "GET", &format!("/v2/open/blobs/{digest}"), None)?.expect(404)?;
    ask(&serving, "POST", &mount, Some(ALICE))?.expect(201)?;
    ask(&serving, "GET", &format!("/v2/open/blobs/{digest}"), None)?.expect(200)?;
    serving.stop()
}

fn wrong_file(lab: &Lab) -> Result<()> {
    let file = users_file(&lab.pulp, "alice:secret\n")?;
    let file = file.to_str().context("The temporary folder is not UTF-8")?;
    let serve = ["serve", "--listen", "127.0.0.1:0", "--users-file"];
    for (file, problem) in [(file, "has no bcrypt hash"), ("/no/such/file", "Failed to read")] {
        let (code, told) = lab.pulp.run_failing(&[&serve[..], &[file]].concat())?;
        ensure!(code == 2 && told.contains(problem) && told.contains("htpasswd -B"), "{told}");
    }
    Ok(())
}

fn clients(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    registry.push_image("v1", 1)?;
    repositories(&lab.pulp)?;
    let serving = serve(&lab.pulp, &[])?;
    let folder = tempfile::tempdir()?;
    let login = |program: &str, password: &str| {
        let mut command = Command::new(program);
        command.args(["login", "--tls-verify=false", "--username=alice"]).arg("--authfile");
        command.arg(folder.path().join(program)).arg(format!("--password={password}"));
        run::output_of(command.arg(serving.address.to_string()))
    };
    let private = format!("docker://{}/private:v1", serving.address);
    let push = |target: &str| {
        let mut command = Command::new("skopeo");
        command.args(["copy", "--quiet", "--insecure-policy", "--src-tls-verify=false"]);
        command.arg("--dest-tls-verify=false").arg("--dest-authfile");
        command.arg(folder.path().join("skopeo")).args([&registry.reference("v1"), target]);
        run::output_of(&mut command)
    };
    fs::write(folder.path().join("skopeo"), "{}")?;
    ensure!(push(&private).is_err(), "Pushed without logging in");
    ensure!(login("skopeo", "wrong").is_err(), "Logged in by a wrong password");
    login("skopeo", "secret")?;
    push(&private)?;
    ensure!(raw_manifest(&private).is_err(), "A stranger reads the private image");

    login("podman", "secret")?;
    let mut command = Command::new("podman");
    command.arg("--root").arg(folder.path().join("root")).arg("--runroot");
    command.arg(folder.path().join("run")).args(["--storage-driver=vfs", "pull", "--quiet"]);
    command.arg("--authfile").arg(folder.path().join("podman"));
    command.arg("--tls-verify=false").arg(format!("{}/private:v1", serving.address));
    run::output_of(&mut command)?;

    // What is public needs no password, although the registry has users.
    push(&format!("docker://{}/public:v1", serving.address))?;
    copy(&format!("docker://{}/public:v1", serving.address), tempfile::tempdir()?.path())?;
    serving.stop()
}

fn mirrored(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    let layers = registry.push_image("v1", 1)?;
    let source = lab.pulp.another()?;
    repository_of(&source, &registry)?;
    let upstream = serve(&source, &[])?;
    let url = format!("http://{}", upstream.address);
    let arguments = ["mirror", "container", &url, "--upstream-name", NAME, "--name", NAME];
    for (login, advice) in [
        (&[][..], "by `--username`"),
        (&["--username", "alice", "--password", "wrong"], "check `username`"),
    ] {
        let (code, told) = lab.pulp.run_failing(&[&arguments[..], login].concat())?;
        ensure!(code == 3, "Exit code {code} for a private upstream");
        ensure!(told.contains(advice), "No advice: {told}");
    }
    let login = ["--username", "alice", "--password", "secret", "--policy", "on_demand", "--json"];
    let mirrored = Mirrored::parse(&lab.pulp.run(&[&arguments[..], &login].concat())?)?;
    ensure!(mirrored.version == Some(1), "Not mirrored: {mirrored:?}");
    ensure!(mirrored.served_at == format!("/v2/{NAME}/"), "At {}", mirrored.served_at);
    let serving = lab.pulp.serve()?;
    for layer in layers {
        let blob = client::get(serving.address, &format!("/v2/{NAME}/blobs/{layer}"))?;
        ensure!(digest_of("sha256", &blob.expect(200)?.body) == layer, "Another layer");
    }
    serving.stop()?;
    upstream.stop()
}

/// A private mirror of the registry, that alice may pull from.
fn repository_of(pulp: &Installation, registry: &Registry) -> Result<()> {
    let url = format!("http://{}", registry.address);
    let arguments = ["mirror", "container", &url, "--upstream-name", UPSTREAM_NAME];
    pulp.run(&[&arguments[..], &["--name", NAME, "--pull-user", "alice"]].concat()).map(drop)
}
