//! The tables as diesel sees them: one declaration for both databases.
//!
//! `migrations/{sqlite,postgres}` create them; a test compares the two with each other. Only the
//! model files use this.

use diesel::{allow_tables_to_appear_in_same_query, table};

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    content (id) {
        id -> Uuid,
        #[sql_name = "type"]
        type_name -> Text,
        natural_key -> Binary,
        repo_key -> Nullable<Binary>,
        metadata -> Json,
        raw -> Nullable<Binary>,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    artifact (sha256) {
        sha256 -> Binary,
        size -> BigInt,
        created -> BigInt,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    artifact_digest (algorithm, digest, sha256) {
        algorithm -> Text,
        digest -> Binary,
        sha256 -> Binary,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    content_artifact (content_id, relative_path) {
        content_id -> Uuid,
        relative_path -> Text,
        sha256 -> Nullable<Binary>,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    remote_artifact (content_id, relative_path, remote_id, position) {
        content_id -> Uuid,
        relative_path -> Text,
        remote_id -> Uuid,
        position -> Integer,
        url -> Text,
        size -> Nullable<BigInt>,
        sha256 -> Nullable<Binary>,
        digests -> Nullable<Json>,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    remote (id) {
        id -> Uuid,
        name -> Text,
        plugin -> Text,
        url -> Text,
        policy -> Text,
        settings -> Json,
        options -> Json,
        created -> BigInt,
        updated -> BigInt,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    repository (id) {
        id -> Uuid,
        name -> Text,
        plugin -> Text,
        description -> Nullable<Text>,
        remote_id -> Nullable<Uuid>,
        next_version -> BigInt,
        retain_versions -> Nullable<Integer>,
        hidden -> Bool,
        options -> Json,
        last_sync -> Nullable<Json>,
        created -> BigInt,
        updated -> BigInt,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    repository_version (repository_id, number) {
        repository_id -> Uuid,
        number -> BigInt,
        created -> BigInt,
        summary -> Json,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    repository_content (repository_id, content_id, version_added) {
        repository_id -> Uuid,
        content_id -> Uuid,
        version_added -> BigInt,
        version_removed -> Nullable<BigInt>,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    incomplete_version_content (repository_id, number, content_id) {
        repository_id -> Uuid,
        number -> BigInt,
        content_id -> Uuid,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    publication (id) {
        id -> Uuid,
        repository_id -> Uuid,
        version -> BigInt,
        plugin -> Text,
        options -> Json,
        complete -> Bool,
        pass_through -> Bool,
        checkpoint -> Bool,
        created -> BigInt,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    published_artifact (publication_id, relative_path) {
        publication_id -> Uuid,
        relative_path -> Text,
        content_id -> Nullable<Uuid>,
        content_path -> Nullable<Text>,
        sha256 -> Nullable<Binary>,
        size -> Nullable<BigInt>,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    distribution (id) {
        id -> Uuid,
        name -> Text,
        plugin -> Text,
        base_path -> Text,
        repository_id -> Nullable<Uuid>,
        version -> Nullable<BigInt>,
        publication_id -> Nullable<Uuid>,
        options -> Json,
        created -> BigInt,
        updated -> BigInt,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    task (id) {
        id -> Uuid,
        name -> Text,
        plugin -> Nullable<Text>,
        repository_id -> Nullable<Uuid>,
        state -> Text,
        created -> BigInt,
        started -> Nullable<BigInt>,
        finished -> Nullable<BigInt>,
        arguments -> Nullable<Json>,
        result -> Nullable<Json>,
        error -> Nullable<Json>,
        host -> Nullable<Text>,
        pid -> Nullable<BigInt>,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    progress_report (task_id, position) {
        task_id -> Uuid,
        position -> Integer,
        code -> Text,
        message -> Text,
        state -> Text,
        total -> Nullable<BigInt>,
        done -> BigInt,
        suffix -> Nullable<Text>,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    alternate_content_source (id) {
        id -> Uuid,
        name -> Text,
        remote_id -> Uuid,
        paths -> Json,
        enabled -> Bool,
        last_refreshed -> Nullable<BigInt>,
        created -> BigInt,
        updated -> BigInt,
    }
}

table! {
    use crate::db::types::{Json, Uuid};
    use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

    alternate_artifact (algorithm, digest, source_id, url) {
        algorithm -> Text,
        digest -> Binary,
        source_id -> Uuid,
        url -> Text,
        refreshed -> BigInt,
    }
}

allow_tables_to_appear_in_same_query!(
    content,
    artifact,
    artifact_digest,
    content_artifact,
    remote_artifact,
    remote,
    repository,
    repository_version,
    repository_content,
    incomplete_version_content,
    publication,
    published_artifact,
    distribution,
    task,
    progress_report,
    alternate_content_source,
    alternate_artifact,
);

#[cfg(test)]
mod tests;
#[cfg(test)]
mod upgrades;
