//! Distributions: under which base path something is served.
//!
//! Base paths do not overlap: where `a/b` is taken, neither `a` nor `a/b/c` can be, so that every
//! request path belongs to at most one distribution. What is served there is found elsewhere
//! ([`crate::publication`], [`crate::version`]).

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    DbError, DistributionId, PublicationId, RelativePath, RepositoryId, Timestamp, VersionNumber,
    db::{Connection, dialect, named, on, types::JsonText},
    schema::distribution,
};

const KIND: &str = "Distribution";

/// The path under which a distribution is served: a [`RelativePath`] of at most 255 bytes, without
/// white space, `?` and `#`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BasePath(RelativePath);

/// A text that is no base path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid base path {path:?}: {reason}")]
pub struct InvalidBasePath {
    path: String,
    reason: String,
}

impl BasePath {
    /// Longest base path in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// Checks and takes `path`.
    pub fn new(path: &str) -> Result<Self, InvalidBasePath> {
        let invalid = |reason: String| InvalidBasePath {
            path: path.chars().take(Self::MAX_LENGTH).collect(),
            reason,
        };
        if path.len() > Self::MAX_LENGTH {
            return Err(invalid(format!("it is longer than {} bytes", Self::MAX_LENGTH)));
        }
        if path.contains(|c: char| c.is_whitespace() || c == '?' || c == '#') {
            return Err(invalid("it holds white space, `?` or `#`".to_owned()));
        }
        RelativePath::new(path).map(Self).map_err(|error| invalid(error.to_string()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl std::fmt::Display for BasePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for BasePath {
    type Err = InvalidBasePath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// What a distribution serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Nothing: its path is reserved, or what it served is deleted.
    #[default]
    Nothing,
    /// The newest publication of the repository's newest version that has one; for plugins that
    /// serve without publications, its newest version.
    Repository(RepositoryId),
    /// One version of a repository.
    Version(RepositoryId, VersionNumber),
    /// One publication.
    Publication(PublicationId),
}

/// A distribution to be created.
#[derive(Debug, Clone)]
pub struct NewDistribution {
    /// Unique among distributions.
    pub name: String,
    /// The plugin that serves it.
    pub plugin: String,
    /// Where it is served.
    pub base_path: BasePath,
    /// What is served.
    pub target: Target,
    /// The plugin's own options.
    pub options: Value,
}

/// A distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Its row.
    pub id: DistributionId,
    /// Unique among distributions.
    pub name: String,
    /// The plugin that serves it; never changes.
    pub plugin: String,
    /// Where it is served.
    pub base_path: BasePath,
    /// What is served.
    pub target: Target,
    /// The plugin's own options.
    pub options: Value,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// Creates a distribution. A name that is taken is [`DbError::AlreadyExists`], a base path that
/// overlaps with another's is [`DbError::InUse`].
pub fn create(conn: &mut Connection, new: &NewDistribution) -> Result<Distribution, DbError> {
    let now = Timestamp::now();
    let distribution = Distribution {
        id: DistributionId::new(),
        name: new.name.clone(),
        plugin: new.plugin.clone(),
        base_path: new.base_path.clone(),
        target: new.target,
        options: new.options.clone(),
        created: now,
        updated: now,
    };
    check_overlap(conn, &distribution)?;
    let row = Row::of(&distribution)?;
    on!(conn, c => diesel::insert_into(distribution::table).values(&row).execute(c))
        .map_err(named(KIND, &new.name))?;
    Ok(distribution)
}

/// Writes the distribution as it is given, and sets `updated`. Errors are those of [`create`].
pub fn update(conn: &mut Connection, changed: &Distribution) -> Result<(), DbError> {
    check_overlap(conn, changed)?;
    let mut row = Row::of(changed)?;
    row.updated = Timestamp::now();
    let count = on!(conn, c => diesel::update(distribution::table.find(row.id))
        .set(&row)
        .execute(c))
    .map_err(named(KIND, &changed.name))?;
    if count == 0 { Err(DbError::not_found(KIND, &changed.name)) } else { Ok(()) }
}

/// The distribution with this name.
pub fn get(conn: &mut Connection, name: &str) -> Result<Distribution, DbError> {
    let row: Option<Row> = on!(conn, c => distribution::table
        .filter(distribution::name.eq(name))
        .select(Row::as_select())
        .first(c)
        .optional())?;
    row.ok_or_else(|| DbError::not_found(KIND, name))?.read()
}

/// Every distribution, sorted by base path.
pub fn list(conn: &mut Connection) -> Result<Vec<Distribution>, DbError> {
    let rows: Vec<Row> = on!(conn, c => distribution::table
        .order(distribution::base_path)
        .select(Row::as_select())
        .load(c))?;
    rows.into_iter().map(Row::read).collect()
}

/// The distribution that a request path belongs to, and the rest of the path: what follows the base
/// path and its slash. `path` has no leading slash; nothing else is asked of it.
pub fn find<'a>(
    conn: &mut Connection,
    path: &'a str,
) -> Result<Option<(Distribution, &'a str)>, DbError> {
    let row: Option<Row> = on!(conn, c => distribution::table
        .filter(distribution::base_path.eq_any(prefixes(path)))
        .order(distribution::base_path.desc())
        .select(Row::as_select())
        .first(c)
        .optional())?;
    let Some(found) = row.map(Row::read).transpose()? else { return Ok(None) };
    let rest = &path[found.base_path.as_str().len()..];
    Ok(Some((found, rest.strip_prefix('/').unwrap_or(rest))))
}

/// Deletes a distribution.
pub fn delete(conn: &mut Connection, name: &str) -> Result<(), DbError> {
    let count = on!(conn, c => diesel::delete(distribution::table
        .filter(distribution::name.eq(name)))
        .execute(c))?;
    if count == 0 { Err(DbError::not_found(KIND, name)) } else { Ok(()) }
}

/// Refuses a base path above, below or equal to another distribution's.
fn check_overlap(conn: &mut Connection, new: &Distribution) -> Result<(), DbError> {
    // Two transactions that add `a` and `a/b` at once would not see each other's.
    dialect::serialize_writers(conn, "distribution")?;
    let path = new.base_path.as_str();
    // In the order of bytes, everything below `a` lies between `a/` and `a0`.
    let (first, end) = (format!("{path}/"), format!("{path}0"));
    let other: Option<(String, String)> = on!(conn, c => distribution::table
        .filter(distribution::id.ne(new.id))
        .filter(distribution::base_path.eq_any(prefixes(path)).or(
            distribution::base_path.ge(&first).and(distribution::base_path.lt(&end)),
        ))
        .select((distribution::base_path, distribution::name))
        .first(c)
        .optional())?;
    match other {
        None => Ok(()),
        Some((taken, name)) => Err(DbError::InUse {
            kind: "Base path",
            name: path.to_owned(),
            user: format!("distribution `{name}` at `{taken}`"),
        }),
    }
}

/// The path itself and every directory above it, as far as they may be base paths.
fn prefixes(path: &str) -> Vec<&str> {
    let directories = path.match_indices('/').map(|(at, _)| &path[..at]);
    directories
        .chain(std::iter::once(path))
        .take_while(|prefix| prefix.len() <= BasePath::MAX_LENGTH)
        .collect()
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = distribution, treat_none_as_null = true)]
struct Row {
    id: DistributionId,
    name: String,
    plugin: String,
    base_path: String,
    repository_id: Option<RepositoryId>,
    version: Option<i64>,
    publication_id: Option<PublicationId>,
    options: JsonText,
    created: Timestamp,
    updated: Timestamp,
}

impl Row {
    fn of(distribution: &Distribution) -> Result<Self, DbError> {
        let (repository_id, version, publication_id) = match distribution.target {
            Target::Nothing => (None, None, None),
            Target::Repository(id) => (Some(id), None, None),
            Target::Version(id, number) => (Some(id), Some(number.0), None),
            Target::Publication(id) => (None, None, Some(id)),
        };
        Ok(Self {
            id: distribution.id,
            name: distribution.name.clone(),
            plugin: distribution.plugin.clone(),
            base_path: distribution.base_path.as_str().to_owned(),
            repository_id,
            version,
            publication_id,
            options: JsonText::write(&distribution.options, "distribution.options")?,
            created: distribution.created,
            updated: distribution.updated,
        })
    }

    fn read(self) -> Result<Distribution, DbError> {
        let target = match (self.publication_id, self.repository_id, self.version) {
            (Some(id), _, _) => Target::Publication(id),
            (None, Some(id), Some(number)) => Target::Version(id, VersionNumber(number)),
            (None, Some(id), None) => Target::Repository(id),
            // A deleted repository leaves the number behind.
            (None, None, _) => Target::Nothing,
        };
        Ok(Distribution {
            id: self.id,
            name: self.name,
            plugin: self.plugin,
            base_path: BasePath::new(&self.base_path)
                .map_err(DbError::corrupt("distribution.base_path"))?,
            target,
            options: self.options.read("distribution.options")?,
            created: self.created,
            updated: self.updated,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{both_databases, testing::TestDatabase};

    fn at(base_path: &str) -> NewDistribution {
        NewDistribution {
            name: format!("at {base_path}"),
            plugin: "file".to_owned(),
            base_path: base_path.parse().expect("valid"),
            target: Target::Nothing,
            options: serde_json::json!({}),
        }
    }

    both_databases! {
        async fn base_paths_do_not_overlap(db: TestDatabase) {
            db.write(|conn| {
                create(conn, &at("a/b"))?;
                for taken in ["a", "a/b", "a/b/c", "a/b/c/d"] {
                    let refused = create(conn, &NewDistribution { name: "x".into(), ..at(taken) });
                    let message = refused.expect_err(taken).to_string();
                    assert_eq!(
                        message,
                        format!("Base path `{taken}` is used by distribution `at a/b` at `a/b`")
                    );
                }
                for free in ["a/bc", "a/b-", "a/c", "b", "A/b"] {
                    create(conn, &at(free))?;
                }
                let mut moved = get(conn, "at a/c")?;
                moved.base_path = BasePath::new("a/c/d").expect("valid");
                update(conn, &moved)?;
                moved.base_path = BasePath::new("b/d").expect("valid");
                assert!(matches!(update(conn, &moved), Err(DbError::InUse { .. })));
                let paths: Vec<_> = list(conn)?.into_iter().map(|d| d.base_path.to_string()).collect();
                assert_eq!(paths, ["A/b", "a/b", "a/b-", "a/bc", "a/c/d", "b"]);
                let same_name = NewDistribution { name: "at b".into(), ..at("c") };
                let refused = create(conn, &same_name);
                assert!(matches!(refused, Err(DbError::AlreadyExists { .. })));
                Err::<(), _>(DbError::not_found("nothing", "but a rollback"))
            })
            .await
            .expect_err("PostgreSQL ends a transaction with its first error");
        }

        async fn of_two_overlapping_paths_taken_at_once_one_is_refused(db: TestDatabase) {
            for round in 0..10 {
                let (above, below) = (at(&format!("p{round}")), at(&format!("p{round}/q")));
                let (above, below) = tokio::join!(
                    db.write(move |conn| create(conn, &above)),
                    db.write(move |conn| create(conn, &below)),
                );
                assert!(above.is_ok() != below.is_ok(), "{above:?} {below:?}");
            }
        }

        async fn a_request_path_finds_its_distribution(db: TestDatabase) {
            db.write(|conn| {
                create(conn, &at("debian/main"))?;
                create(conn, &at("files"))?;
                for (path, expected) in [
                    ("debian/main/dists/stable/Release", Some(("debian/main", "dists/stable/Release"))),
                    ("debian/main", Some(("debian/main", ""))),
                    ("debian/main/", Some(("debian/main", ""))),
                    ("files//x", Some(("files", "/x"))),
                    ("debian/mainly", None),
                    ("debian", None),
                    ("", None),
                ] {
                    let found = find(conn, path)?;
                    let found = found.as_ref().map(|(d, rest)| (d.base_path.as_str(), *rest));
                    assert_eq!(found, expected, "{path}");
                }
                let long = format!("files/{}", "x/".repeat(40_000));
                assert!(find(conn, &long)?.is_some());
                delete(conn, "at files")?;
                assert!(matches!(delete(conn, "at files"), Err(DbError::NotFound { .. })));
                assert!(find(conn, &long)?.is_none());
                Ok(())
            })
            .await
            .expect("written");
        }
    }

    #[test]
    fn base_paths_are_checked() {
        for path in ["", "/a", "a/", "a//b", "../a", "a b", "a?b", "a#b", &"x/".repeat(200)] {
            assert!(BasePath::new(path).is_err(), "{path:?} was taken");
        }
    }
}
