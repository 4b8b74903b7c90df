-- The first schema; `../../postgres/0001_initial` holds its twin. `src/schema.rs` says what the columns mean to Rust.

-- What a unit is, whatever its type. Rows are large (`raw`), hence not WITHOUT ROWID.
CREATE TABLE content (
    id BLOB NOT NULL PRIMARY KEY,
    type TEXT NOT NULL,
    natural_key BLOB NOT NULL UNIQUE,
    repo_key BLOB,
    metadata TEXT NOT NULL,
    raw BLOB
) STRICT;
-- Finds the unit that a new one takes the place of.
CREATE INDEX content_repo_key ON content (repo_key) WHERE repo_key IS NOT NULL;

-- Bytes in the artifact store, by what they are.
CREATE TABLE artifact (
    sha256 BLOB NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Further digests of an artifact, only where somebody computed them.
CREATE TABLE artifact_digest (
    algorithm TEXT NOT NULL,
    digest BLOB NOT NULL,
    sha256 BLOB NOT NULL REFERENCES artifact (sha256) ON DELETE CASCADE,
    PRIMARY KEY (algorithm, digest, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX artifact_digest_sha256 ON artifact_digest (sha256);

-- The files of a unit; without a digest, bytes not stored yet.
CREATE TABLE content_artifact (
    content_id BLOB NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    relative_path TEXT NOT NULL,
    sha256 BLOB,
    PRIMARY KEY (content_id, relative_path)
) STRICT, WITHOUT ROWID;
CREATE INDEX content_artifact_relative_path ON content_artifact (relative_path);

-- Where the bytes of a content artifact come from, and what they must be. `digests` holds what is
-- known besides `sha256`.
CREATE TABLE remote_artifact (
    content_id BLOB NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    relative_path TEXT NOT NULL,
    remote_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    url TEXT NOT NULL,
    size INTEGER,
    sha256 BLOB,
    digests TEXT,
    PRIMARY KEY (content_id, relative_path, remote_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE remote (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    plugin TEXT NOT NULL,
    url TEXT NOT NULL,
    policy TEXT NOT NULL,
    settings TEXT NOT NULL,
    options TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE repository (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    plugin TEXT NOT NULL,
    description TEXT,
    remote_id BLOB REFERENCES remote (id) ON DELETE RESTRICT,
    next_version INTEGER NOT NULL,
    retain_versions INTEGER,
    hidden INTEGER NOT NULL,
    options TEXT NOT NULL,
    last_sync TEXT,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX repository_remote_id ON repository (remote_id);

-- Complete versions only. `summary` counts units by type.
CREATE TABLE repository_version (
    repository_id BLOB NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    created INTEGER NOT NULL,
    summary TEXT NOT NULL,
    PRIMARY KEY (repository_id, number)
) STRICT, WITHOUT ROWID;

-- A unit belongs to the versions from `version_added` until before `version_removed`.
CREATE TABLE repository_content (
    repository_id BLOB NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    content_id BLOB NOT NULL,
    version_added INTEGER NOT NULL,
    version_removed INTEGER,
    PRIMARY KEY (repository_id, content_id, version_added)
) STRICT, WITHOUT ROWID;

-- What a running sync has seen. Losing it loses nothing: the sync that wrote it is gone too.
CREATE TABLE incomplete_version_content (
    repository_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    content_id BLOB NOT NULL,
    PRIMARY KEY (repository_id, number, content_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE publication (
    id BLOB NOT NULL PRIMARY KEY,
    repository_id BLOB NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    plugin TEXT NOT NULL,
    options TEXT NOT NULL,
    complete INTEGER NOT NULL,
    pass_through INTEGER NOT NULL,
    checkpoint INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX publication_repository_id ON publication (repository_id, version);

-- A published path: a content artifact, named by `content_id` and `content_path`, or generated
-- metadata, named by its digest.
CREATE TABLE published_artifact (
    publication_id BLOB NOT NULL REFERENCES publication (id) ON DELETE CASCADE,
    relative_path TEXT NOT NULL,
    content_id BLOB,
    content_path TEXT,
    sha256 BLOB,
    size INTEGER,
    PRIMARY KEY (publication_id, relative_path)
) STRICT, WITHOUT ROWID;

CREATE TABLE distribution (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    plugin TEXT NOT NULL,
    base_path TEXT NOT NULL UNIQUE,
    repository_id BLOB REFERENCES repository (id) ON DELETE SET NULL,
    version INTEGER,
    publication_id BLOB REFERENCES publication (id) ON DELETE SET NULL,
    options TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX distribution_repository_id ON distribution (repository_id);
CREATE INDEX distribution_publication_id ON distribution (publication_id);

-- `state` is waiting, running, completed, failed, canceling or canceled. A task outlives its
-- repository, hence no foreign key.
CREATE TABLE task (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    plugin TEXT,
    repository_id BLOB,
    state TEXT NOT NULL,
    created INTEGER NOT NULL,
    started INTEGER,
    finished INTEGER,
    arguments TEXT,
    result TEXT,
    error TEXT,
    host TEXT,
    pid INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX task_state ON task (state, created);

CREATE TABLE progress_report (
    task_id BLOB NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    state TEXT NOT NULL,
    total INTEGER,
    done INTEGER NOT NULL,
    suffix TEXT,
    PRIMARY KEY (task_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE alternate_content_source (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    remote_id BLOB NOT NULL REFERENCES remote (id) ON DELETE RESTRICT,
    paths TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    last_refreshed INTEGER,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alternate_content_source_remote_id ON alternate_content_source (remote_id);

-- Bytes that a source is known to have, by each digest that proves anything. No foreign key, for
-- nothing else looks them up by source; deleting a source deletes them.
CREATE TABLE alternate_artifact (
    algorithm TEXT NOT NULL,
    digest BLOB NOT NULL,
    source_id BLOB NOT NULL,
    url TEXT NOT NULL,
    refreshed INTEGER NOT NULL,
    PRIMARY KEY (algorithm, digest, source_id, url)
) STRICT, WITHOUT ROWID;
