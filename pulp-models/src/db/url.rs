//! Where the database is: a file, or a PostgreSQL server.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use url::Url;

/// `sqlite:///absolute/path` or `postgres://user:password@host/database?options`.
///
/// The path of an SQLite URL is taken literally, not percent-decoded. PostgreSQL's options are
/// those of its connection URIs that concern us: `sslmode` (`disable`, `prefer`, `require`),
/// `connect_timeout`, `options`, `application_name`; and `sslrootcert` (a PEM file). `Display` and
/// `Debug` hide the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub(super) Kind);

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite(PathBuf),
    Postgres(Url),
}

/// A text that is no database URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid database URL: {0}")]
pub struct InvalidDatabaseUrl(String);

impl DatabaseUrl {
    /// The database in the file `path`.
    pub fn sqlite(path: &Path) -> Self {
        Self(Kind::Sqlite(path.to_owned()))
    }

    /// The SQLite file, if it is one.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Sqlite(path) => Some(path),
            Kind::Postgres(_) => None,
        }
    }

    /// The PostgreSQL URL with its password, if it is one.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn expose_postgres(&self) -> Option<&Url> {
        match &self.0 {
            Kind::Sqlite(_) => None,
            Kind::Postgres(url) => Some(url),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            if !path.starts_with('/') || path.ends_with('/') {
                return Err(InvalidDatabaseUrl(format!(
                    "`{text}` names no file; expected `sqlite:///absolute/path`"
                )));
            }
            return Ok(Self(Kind::Sqlite(path.into())));
        }
        // The text may hold a password, so no message shows it.
        let url = Url::parse(text).map_err(|error| InvalidDatabaseUrl(error.to_string()))?;
        match url.scheme() {
            "postgres" | "postgresql" => Ok(Self(Kind::Postgres(url))),
            other => Err(InvalidDatabaseUrl(format!(
                "scheme `{other}` is none of `sqlite`, `postgres`, `postgresql`"
            ))),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Kind::Postgres(url) => {
                let mut url = url.clone();
                if url.password().is_some() {
                    // Fails only on a URL without a host, which cannot hold a password.
                    let _ = url.set_password(Some("…"));
                }
                if url.query_pairs().any(|(name, _)| name == "password") {
                    url.set_query(Some("…"));
                }
                f.write_str(url.as_str())
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        let url: DatabaseUrl = "postgres://me:secret@host/db".parse().expect("valid");
        assert!(!format!("{url} {url:?}").contains("secret"));
        let url: DatabaseUrl = "postgres://host/db?user=me&password=secret".parse().expect("valid");
        assert!(!format!("{url} {url:?}").contains("secret"));
        let error = "mysql://me:secret@host/db".parse::<DatabaseUrl>().expect_err("wrong scheme");
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn an_sqlite_url_names_an_absolute_file() {
        let url: DatabaseUrl = "sqlite:///var/lib/pulp/a b.sqlite".parse().expect("valid");
        assert_eq!(url.sqlite_path(), Some(Path::new("/var/lib/pulp/a b.sqlite")));
        assert_eq!(url.to_string().parse(), Ok(url));
        for text in ["sqlite://relative", "sqlite:///", "sqlite://", "", "/path"] {
            assert!(text.parse::<DatabaseUrl>().is_err(), "{text:?} was taken");
        }
    }
}
