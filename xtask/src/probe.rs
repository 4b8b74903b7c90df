//! What this machine has: programs in the path, a PostgreSQL server.
//!
//! Every probe that fails says why, and that text becomes the reason of a `SKIPPED` line.

use std::{
    env,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::run;

/// The variable that names the PostgreSQL server for tests; those in Rust read it too.
pub(crate) const POSTGRES_VARIABLE: &str = "PULP_TEST_POSTGRES";

/// The server that is tried when the variable is unset.
const LOCAL_POSTGRES: &str = "postgres://postgres@127.0.0.1:5432/postgres";
const LOCAL_POSTGRES_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5432);

/// Debian's own Python, which has the modules that Debian packages, whatever the path says.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// Looks `name` up in the path, also where Debian keeps programs for administrators; or, as
/// `python3:MODULE`, a module of [`PYTHON`].
pub(crate) fn program(name: &str) -> Result<PathBuf, String> {
    if let Some(module) = name.strip_prefix("python3:") {
        let mut command = Command::new(PYTHON);
        let imported = run::output_of(command.args(["-c", &format!("import {module}")]));
        let missing = |_| format!("the module `{module}` of Python is not installed");
        return imported.map(|_| PYTHON.into()).map_err(missing);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| format!("the program `{name}` is not installed"))
}

/// Where the programs of a PostgreSQL server lie; those of the newest, as Debian installs them.
pub(crate) fn postgres_programs() -> Result<PathBuf, &'static str> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    let newest = folders.filter(|folder| folder.join("pg_ctl").is_file()).max();
    newest.ok_or("no PostgreSQL server is installed below `/usr/lib/postgresql`")
}

/// The URL of a database in which schemas may be created.
pub(crate) fn postgres() -> Result<&'static str, &'static str> {
    static FOUND: OnceLock<Result<String, String>> = OnceLock::new();
    FOUND.get_or_init(find_postgres).as_deref().map_err(String::as_str)
}

fn find_postgres() -> Result<String, String> {
    program("psql")?;
    let set = env::var(POSTGRES_VARIABLE).ok();
    let unset = set.is_none();
    let url = set.unwrap_or_else(|| LOCAL_POSTGRES.to_owned());
    if unset && TcpStream::connect_timeout(&LOCAL_POSTGRES_ADDRESS, Duration::from_secs(1)).is_err()
    {
        return Err(format!(
            "no PostgreSQL answers at {LOCAL_POSTGRES_ADDRESS} and {POSTGRES_VARIABLE} is unset"
        ));
    }
    match psql(&url, "SELECT 1") {
        Ok(_) => Ok(url),
        Err(_) if unset => Err(format!(
            "PostgreSQL at {LOCAL_POSTGRES_ADDRESS} lets no user `postgres` in; set \
             {POSTGRES_VARIABLE}"
        )),
        // The URL may hold a password, so the client's own words are not repeated.
        Err(_) => Err(format!("the database that {POSTGRES_VARIABLE} names cannot be used")),
    }
}

/// Runs one statement.
pub(crate) fn psql(url: &str, statement: &str) -> Result<String> {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--command"]);
    command.args([statement, url]);
    run::output_of(&mut command).with_context(|| format!("Failed to run `{statement}`"))
}
