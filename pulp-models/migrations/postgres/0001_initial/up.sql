-- The first schema; `../../sqlite/0001_initial` holds its twin. `src/schema.rs` says what the columns mean to Rust.

-- Paths compare byte by byte (COLLATE "C"), so that an index finds everything below a directory.

-- What a unit is, whatever its type. Rows are large (`raw`), hence not WITHOUT ROWID.
CREATE TABLE content (
    id UUID NOT NULL PRIMARY KEY,
    type TEXT NOT NULL,
    natural_key BYTEA NOT NULL UNIQUE,
    repo_key BYTEA,
    metadata JSONB NOT NULL,
    raw BYTEA
);
-- Finds the unit that a new one takes the place of.
CREATE INDEX content_repo_key ON content (repo_key) WHERE repo_key IS NOT NULL;

-- Bytes in the artifact store, by what they are.
CREATE TABLE artifact (
    sha256 BYTEA NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL,
    created BIGINT NOT NULL
);

-- Further digests of an artifact, only where somebody computed them.
CREATE TABLE artifact_digest (
    algorithm TEXT NOT NULL,
    digest BYTEA NOT NULL,
    sha256 BYTEA NOT NULL REFERENCES artifact (sha256) ON DELETE CASCADE,
    PRIMARY KEY (algorithm, digest, sha256)
);
CREATE INDEX artifact_digest_sha256 ON artifact_digest (sha256);

-- The files of a unit; without a digest, bytes not stored yet.
CREATE TABLE content_artifact (
    content_id UUID NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    relative_path TEXT COLLATE "C" NOT NULL,
    sha256 BYTEA,
    PRIMARY KEY (content_id, relative_path)
);
CREATE INDEX content_artifact_relative_path ON content_artifact (relative_path);

-- Where the bytes of a content artifact come from, and what they must be. `digests` holds what is
-- known besides `sha256`.
CREATE TABLE remote_artifact (
    content_id UUID NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    relative_path TEXT COLLATE "C" NOT NULL,
    remote_id UUID NOT NULL,
    position INTEGER NOT NULL,
    url TEXT NOT NULL,
    size BIGINT,
    sha256 BYTEA,
    digests JSONB,
    PRIMARY KEY (content_id, relative_path, remote_id, position)
);

CREATE TABLE remote (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    plugin TEXT NOT NULL,
    url TEXT NOT NULL,
    policy TEXT NOT NULL,
    settings JSONB NOT NULL,
    options JSONB NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE repository (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    plugin TEXT NOT NULL,
    description TEXT,
    remote_id UUID REFERENCES remote (id) ON DELETE RESTRICT,
    next_version BIGINT NOT NULL,
    retain_versions INTEGER,
    hidden BOOLEAN NOT NULL,
    options JSONB NOT NULL,
    last_sync JSONB,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE INDEX repository_remote_id ON repository (remote_id);

-- Complete versions only. `summary` counts units by type.
CREATE TABLE repository_version (
    repository_id UUID NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    created BIGINT NOT NULL,
    summary JSONB NOT NULL,
    PRIMARY KEY (repository_id, number)
);

-- A unit belongs to the versions from `version_added` until before `version_removed`.
CREATE TABLE repository_content (
    repository_id UUID NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    content_id UUID NOT NULL,
    version_added BIGINT NOT NULL,
    version_removed BIGINT,
    PRIMARY KEY (repository_id, content_id, version_added)
);

-- What a running sync has seen. Losing it loses nothing: the sync that wrote it is gone too.
CREATE UNLOGGED TABLE incomplete_version_content (
    repository_id UUID NOT NULL,
    number BIGINT NOT NULL,
    content_id UUID NOT NULL,
    PRIMARY KEY (repository_id, number, content_id)
);

CREATE TABLE publication (
    id UUID NOT NULL PRIMARY KEY,
    repository_id UUID NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    plugin TEXT NOT NULL,
    options JSONB NOT NULL,
    complete BOOLEAN NOT NULL,
    pass_through BOOLEAN NOT NULL,
    checkpoint BOOLEAN NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX publication_repository_id ON publication (repository_id, version);

-- A published path: a content artifact, named by `content_id` and `content_path`, or generated
-- metadata, named by its digest.
CREATE TABLE published_artifact (
    publication_id UUID NOT NULL REFERENCES publication (id) ON DELETE CASCADE,
    relative_path TEXT COLLATE "C" NOT NULL,
    content_id UUID,
    content_path TEXT COLLATE "C",
    sha256 BYTEA,
    size BIGINT,
    PRIMARY KEY (publication_id, relative_path)
);

CREATE TABLE distribution (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    plugin TEXT NOT NULL,
    base_path TEXT COLLATE "C" NOT NULL UNIQUE,
    repository_id UUID REFERENCES repository (id) ON DELETE SET NULL,
    version BIGINT,
    publication_id UUID REFERENCES publication (id) ON DELETE SET NULL,
    options JSONB NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE INDEX distribution_repository_id ON distribution (repository_id);
CREATE INDEX distribution_publication_id ON distribution (publication_id);

-- `state` is waiting, running, completed, failed, canceling or canceled. A task outlives its
-- repository, hence no foreign key.
CREATE TABLE task (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    plugin TEXT,
    repository_id UUID,
    state TEXT NOT NULL,
    created BIGINT NOT NULL,
    started BIGINT,
    finished BIGINT,
    arguments JSONB,
    result JSONB,
    error JSONB,
    host TEXT,
    pid BIGINT
);
CREATE INDEX task_state ON task (state, created);

CREATE TABLE progress_report (
    task_id UUID NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    state TEXT NOT NULL,
    total BIGINT,
    done BIGINT NOT NULL,
    suffix TEXT,
    PRIMARY KEY (task_id, position)
);

CREATE TABLE alternate_content_source (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    remote_id UUID NOT NULL REFERENCES remote (id) ON DELETE RESTRICT,
    paths JSONB NOT NULL,
    enabled BOOLEAN NOT NULL,
    last_refreshed BIGINT,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE INDEX alternate_content_source_remote_id ON alternate_content_source (remote_id);

-- Bytes that a source is known to have, by each digest that proves anything. No foreign key, for
-- nothing else looks them up by source; deleting a source deletes them.
CREATE TABLE alternate_artifact (
    algorithm TEXT NOT NULL,
    digest BYTEA NOT NULL,
    source_id UUID NOT NULL,
    url TEXT NOT NULL,
    refreshed BIGINT NOT NULL,
    PRIMARY KEY (algorithm, digest, source_id, url)
);
