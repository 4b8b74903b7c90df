//! Remotes: an upstream, and how to reach it.
//!
//! The row knows nothing of transfers: [`RemoteSettings`] is handed to a downloader above this
//! crate, `options` is a struct of the plugin.

use std::{fmt, str::FromStr};

use diesel::{dsl::exists, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Keyring, RemoteId, RemoteSettings, RemoteUrl, Timestamp,
    db::{Connection, DbError, named, on, types::JsonText},
    keyring::SealError,
    schema::{alternate_content_source, content_artifact, remote, remote_artifact, repository},
};

const KIND: &str = "Remote";
/// The column that holds secrets.
const SETTINGS: &str = "remote.settings";

/// When the bytes of content are fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// During the sync.
    #[default]
    Immediate,
    /// At the first request, then kept.
    OnDemand,
    /// At every request, never kept.
    Streamed,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Immediate, Self::OnDemand, Self::Streamed];

    /// Whether a sync leaves the bytes where they are.
    pub const fn is_deferred(self) -> bool {
        matches!(self, Self::OnDemand | Self::Streamed)
    }

    /// As in `on_demand`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::OnDemand => "on_demand",
            Self::Streamed => "streamed",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown policy `{0}`: expected `immediate`, `on_demand` or `streamed`")]
pub struct UnknownPolicy(String);

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or_else(|| UnknownPolicy(text.to_owned()))
    }
}

/// A remote to be created.
#[derive(Debug, Clone)]
pub struct NewRemote {
    /// Unique among remotes.
    pub name: String,
    /// The plugin that understands `options`.
    pub plugin: String,
    /// Where the upstream is.
    pub url: RemoteUrl,
    /// When bytes are fetched.
    pub policy: Policy,
    /// How to reach it.
    pub settings: RemoteSettings,
    /// The plugin's `RemoteOptions`.
    pub options: Value,
}

/// A remote.
#[derive(Debug, Clone, PartialEq)]
pub struct Remote {
    /// Its row.
    pub id: RemoteId,
    /// Unique among remotes.
    pub name: String,
    /// The plugin that understands `options`; never changes.
    pub plugin: String,
    /// Where the upstream is.
    pub url: RemoteUrl,
    /// When bytes are fetched.
    pub policy: Policy,
    /// How to reach it.
    pub settings: RemoteSettings,
    /// The plugin's `RemoteOptions`.
    pub options: Value,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = remote)]
struct Row {
    id: RemoteId,
    name: String,
    plugin: String,
    url: String,
    policy: String,
    settings: JsonText,
    options: JsonText,
    created: Timestamp,
    updated: Timestamp,
}

impl Row {
    /// Settings are encrypted as a whole, wherever a keyring has a key.
    fn of(remote: &Remote, keyring: &Keyring) -> Result<Self, DbError> {
        let mut settings = JsonText::write(&remote.settings, SETTINGS)?;
        if !keyring.is_empty() {
            let sealed = keyring.seal(&place(remote.id), &settings.0);
            settings = JsonText::write(&sealed, SETTINGS)?;
        }
        Ok(Self {
            id: remote.id,
            name: remote.name.clone(),
            plugin: remote.plugin.clone(),
            url: remote.url.expose().as_str().to_owned(),
            policy: remote.policy.name().to_owned(),
            settings,
            options: JsonText::write(&remote.options, "remote.options")?,
            created: remote.created,
            updated: remote.updated,
        })
    }

    fn read(self, keyring: &Keyring) -> Result<Remote, DbError> {
        let mut settings = self.settings;
        if let Some(sealed) = sealed(&settings)? {
            let opened = keyring.open(&place(self.id), sealed);
            settings = JsonText(opened.map_err(unreadable(&self.name))?);
        }
        Ok(Remote {
            id: self.id,
            name: self.name,
            plugin: self.plugin,
            url: self.url.parse().map_err(DbError::corrupt("remote.url"))?,
            policy: self.policy.parse().map_err(DbError::corrupt("remote.policy"))?,
            settings: settings.read(SETTINGS)?,
            options: self.options.read("remote.options")?,
            created: self.created,
            updated: self.updated,
        })
    }
}

/// The encrypted text that stands in place of settings, if one does.
fn sealed(settings: &JsonText) -> Result<Option<String>, DbError> {
    // Settings are an object.
    if settings.0.starts_with('"') { settings.read(SETTINGS).map(Some) } else { Ok(None) }
}

fn place(id: RemoteId) -> String {
    format!("{SETTINGS} {id}")
}

fn unreadable(name: &str) -> impl FnOnce(SealError) -> DbError {
    let what = format!("the settings of remote `{name}`");
    move |source| DbError::Sealed { what, source }
}

/// Fails if a remote's settings are encrypted with a key that is not at hand.
pub(crate) fn check_secrets(conn: &mut Connection) -> Result<(), DbError> {
    let rows: Vec<(String, JsonText)> = on!(conn, c => remote::table
        .order(remote::name).select((remote::name, remote::settings)).load(c))?;
    let keyring = conn.keyring();
    for (name, settings) in rows {
        if let Some(sealed) = sealed(&settings)? {
            keyring.check(&sealed).map_err(unreadable(&name))?;
        }
    }
    Ok(())
}

/// Encrypts the settings of every remote again, with the first key. Returns how many there are.
/// [`Db::compact`](crate::Db::compact) removes what stood there before from the database's file.
pub fn reseal(conn: &mut Connection) -> Result<usize, DbError> {
    let keyring = conn.keyring();
    let remotes = list(conn)?;
    for remote in &remotes {
        // What was changed is not the remote: `updated` stays.
        let row = Row::of(remote, &keyring)?;
        on!(conn, c => diesel::update(remote::table.find(row.id)).set(&row).execute(c))?;
    }
    Ok(remotes.len())
}

/// Creates a remote. Credentials in its URL become settings. A name that is taken is
/// [`DbError::AlreadyExists`].
pub fn create(conn: &mut Connection, new: &NewRemote) -> Result<Remote, DbError> {
    let now = Timestamp::now();
    let mut remote = Remote {
        id: RemoteId::new(),
        name: new.name.clone(),
        plugin: new.plugin.clone(),
        url: new.url.clone(),
        policy: new.policy,
        settings: new.settings.clone(),
        options: new.options.clone(),
        created: now,
        updated: now,
    };
    remote.settings.take_credentials(&mut remote.url);
    let row = Row::of(&remote, &conn.keyring())?;
    on!(conn, c => diesel::insert_into(remote::table).values(&row).execute(c))
        .map_err(named(KIND, &new.name))?;
    Ok(remote)
}

/// The remote with this name.
pub fn get(conn: &mut Connection, name: &str) -> Result<Remote, DbError> {
    let row: Option<Row> = on!(conn, c => remote::table
        .filter(remote::name.eq(name)).select(Row::as_select()).first(c).optional())?;
    row.ok_or_else(|| DbError::not_found(KIND, name))?.read(&conn.keyring())
}

/// The remote with this id.
pub fn get_by_id(conn: &mut Connection, id: RemoteId) -> Result<Remote, DbError> {
    let row: Option<Row> = on!(conn, c => remote::table
        .find(id).select(Row::as_select()).first(c).optional())?;
    row.ok_or_else(|| DbError::not_found(KIND, &id))?.read(&conn.keyring())
}

/// Every remote, sorted by name.
pub fn list(conn: &mut Connection) -> Result<Vec<Remote>, DbError> {
    let rows: Vec<Row> = on!(conn, c => remote::table
        .order(remote::name).select(Row::as_select()).load(c))?;
    let keyring = conn.keyring();
    rows.into_iter().map(|row| row.read(&keyring)).collect()
}

/// Writes the remote as it is given, credentials in its URL as settings, and sets `updated`. Read
/// it in the same transaction, so that nobody else's change is undone.
pub fn update(conn: &mut Connection, changed: &Remote) -> Result<(), DbError> {
    let mut changed = changed.clone();
    changed.settings.take_credentials(&mut changed.url);
    let mut row = Row::of(&changed, &conn.keyring())?;
    row.updated = Timestamp::now();
    let count = on!(conn, c => diesel::update(remote::table.find(row.id)).set(&row).execute(c))
        .map_err(named(KIND, &changed.name))?;
    if count == 0 { Err(DbError::not_found(KIND, &changed.name)) } else { Ok(()) }
}

/// Who uses a remote from which bytes could still be fetched, in [`DbError::InUse`].
pub const UNSTORED: &str = "content whose bytes are not stored";

/// Deletes a remote and what it is known to have of any content.
///
/// A remote that a repository or an alternate content source uses is [`DbError::InUse`]; so is one
/// from which content without stored bytes could be fetched, unless `force`d: such content can no
/// longer be served.
pub fn delete(conn: &mut Connection, name: &str, force: bool) -> Result<(), DbError> {
    let id = get(conn, name)?.id;
    if let Some(user) = user(conn, id, force)? {
        return Err(DbError::InUse { kind: KIND, name: name.to_owned(), user });
    }
    on!(conn, c => diesel::delete(
        remote_artifact::table.filter(remote_artifact::remote_id.eq(id))).execute(c))?;
    on!(conn, c => diesel::delete(remote::table.find(id)).execute(c))?;
    Ok(())
}

fn user(conn: &mut Connection, id: RemoteId, force: bool) -> QueryResult<Option<String>> {
    let repository: Option<String> = on!(conn, c => repository::table
        .filter(repository::remote_id.eq(id))
        .order(repository::name).select(repository::name).first(c).optional())?;
    if let Some(name) = repository {
        return Ok(Some(format!("repository `{name}`")));
    }
    let source: Option<String> = on!(conn, c => alternate_content_source::table
        .filter(alternate_content_source::remote_id.eq(id))
        .order(alternate_content_source::name)
        .select(alternate_content_source::name).first(c).optional())?;
    if let Some(name) = source {
        return Ok(Some(format!("alternate content source `{name}`")));
    }
    if force {
        return Ok(None);
    }
    let needed: bool = on!(conn, c => diesel::select(exists(
        remote_artifact::table
            .inner_join(content_artifact::table.on(
                content_artifact::content_id.eq(remote_artifact::content_id)
                    .and(content_artifact::relative_path.eq(remote_artifact::relative_path))))
            .filter(remote_artifact::remote_id.eq(id))
            .filter(content_artifact::sha256.is_null()))).get_result(c))?;
    Ok(needed.then(|| UNSTORED.to_owned()))
}

#[cfg(test)]
mod tests;
