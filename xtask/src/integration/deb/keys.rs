//! Keys: upstream's that are no longer good, the user's own, and how ours lie on disk.

use std::fs;

use anyhow::{Result, ensure};

use super::{NAME, apt::Apt, archive::Archive, arguments, client, mirror};
use crate::integration::Lab;

/// What begins a private key in a file.
const PRIVATE: &[u8] = b"PRIVATE KEY BLOCK";

/// A mirror that must be refused with the key named, and all of `words` said.
fn refused(lab: &Lab, archive: &Archive, words: &[&str]) -> Result<()> {
    let arguments = arguments(lab, archive, &["--policy", "on_demand"]);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (code, error) = lab.pulp.run_failing(&arguments)?;
    ensure!(code == 3, "Exit code {code}:\n{error}");
    let id = archive.key_id()?;
    ensure!(error.to_uppercase().contains(&id), "The key {id} is not named:\n{error}");
    for word in words {
        ensure!(error.contains(word), "`{word}` does not stand in the error:\n{error}");
    }
    lab.pulp.has_no_temporary_files()
}

/// Signatures by a key that had expired, and by one that was revoked since, are not good.
pub(super) fn expired_or_revoked(lab: &Lab) -> Result<()> {
    let mut archive = Archive::of_the_past()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    refused(lab, &archive, &["InRelease", "expired"])?;
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    archive.revoke()?;
    refused(lab, &archive, &["InRelease", "revoked"])
}

/// Publications are signed with a key that the user has made by gpg, and apt believes it.
pub(super) fn of_ones_own(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    let own = Archive::new()?;
    let secret = own.secret_key()?.display().to_string();
    lab.pulp.run(&["deb", "key", "import", "own", &secret])?;
    let how = ["--policy", "on_demand", "--publish", "structured", "--signing-key", "own"];
    mirror(lab, &archive, &how)?;
    let serving = lab.pulp.serve()?;
    let url = format!("http://{}/pulp/content/{NAME}/", serving.address);
    let apt = Apt::new(&url, &fs::read(own.key())?, &["deb"])?;
    apt.update()?;
    ensure!(apt.download("hello")? == archive.package("hello")?, "apt downloaded another `hello`");
    serving.stop()
}

/// Scripts can tell a key that is missing and one that is there by exit codes.
pub(super) fn missing_or_taken(lab: &Lab) -> Result<()> {
    lab.pulp.run(&["deb", "key", "create", "own"])?;
    let before = lab.pulp.run(&["deb", "key", "export", "own"])?;
    let other = Archive::new()?;
    let secret = other.secret_key()?.display().to_string();
    lab.pulp.run(&["deb", "repository", "create", "--name", NAME])?;
    let publish = ["deb", "publication", "create", "--repository", NAME, "--publish"];
    let cases: [(&[&str], i32); 5] = [
        (&["deb", "key", "export", "none"], 4),
        (&[&publish[..], &["structured", "--signing-key", "none-such"]].concat(), 4),
        (&["deb", "key", "create", "own"], 5),
        (&["deb", "key", "import", "own", &secret], 5),
        (&["deb", "key", "import", "other", "/no/such/file"], 2),
    ];
    for (words, expected) in cases {
        let (code, error) = lab.pulp.run_failing(words)?;
        ensure!(code == expected, "Exit code {code} of {words:?}, expected {expected}:\n{error}");
        ensure!(error.contains("hint: ") || expected == 2, "No hint for {words:?}:\n{error}");
    }
    ensure!(lab.pulp.run(&["deb", "key", "export", "own"])? == before, "The key is another one");
    Ok(())
}

/// With a key file, no private key is readable on disk, and publications are signed as before.
pub(super) fn encrypted(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    // Without a remote, whose settings would be told first to be unreadable.
    lab.pulp.run(&["deb", "repository", "create", "--name", NAME, "--autopublish"])?;
    lab.pulp.run(&["deb", "distribution", "create", "--name", NAME, "--repository", NAME])?;
    let file = archive.files(&["deb"])?[0].display().to_string();
    lab.pulp.run(&["deb", "upload", "--repository", NAME, &file])?;
    let serving = lab.pulp.serve()?;
    let public = serving.get(NAME, "key.asc")?.expect(200)?.body;
    ensure!(lab.pulp.holds(PRIVATE)?, "Without a key file, keys are stored as they are");

    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (key, other) = (path("key"), path("other"));
    lab.pulp.run(&["secret", "create-key", &key])?;
    let told = lab.pulp.run(&["--secret-key-file", &key, "secret", "rotate", "--json"])?;
    ensure!(told.contains(r#""key_files":1"#), "Rotated: {told}");
    let publish = ["deb", "publication", "create", "--repository", NAME];
    let keyed = ["--secret-key-file", &key];
    lab.pulp.run(&[&keyed[..], &publish].concat())?;
    lab.pulp.run(&[&keyed[..], &["deb", "key", "create", "second"]].concat())?;
    ensure!(!lab.pulp.holds(PRIVATE)?, "A private key is still readable");
    serving.stop()?;

    lab.pulp.run(&["secret", "create-key", &other])?;
    for wrong in [&[][..], &["--secret-key-file", &other]] {
        let (_, error) = lab.pulp.run_failing(&[wrong, &publish].concat())?;
        for word in ["keys/deb/default.asc", "hint: ", "PULP_SECRET_KEY_FILE"] {
            ensure!(error.contains(word), "`{word}` does not stand in the error:\n{error}");
        }
    }
    let serving = lab.pulp.serve_with(&keyed)?;
    let same = serving.get(NAME, "key.asc")?.expect(200)?.body == public;
    ensure!(same, "Another key signs now");
    client(&serving, &archive, true, &["deb"])?.update()?;
    serving.stop()
}
