//! SQLite finds rows by key where the cost of a statement must not depend on the version's size.

use diesel::{RunQueryDsl as _, prelude::*, sql_types::Text};

use super::{
    super::{complete, conflicts, listing},
    *,
};
use crate::db::dialect::Statements as _;

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// The steps of the plan that read a table, in order.
async fn plan(statement: &'static str) -> Vec<String> {
    let db = TestDatabase::sqlite().await;
    let steps = db.read(move |conn| {
        let explain = format!("EXPLAIN QUERY PLAN {statement}");
        let steps: Vec<Step> = on!(conn, c => c.statement(&explain).load(c))?;
        Ok(steps)
    });
    let steps = steps.await.expect("explained").into_iter().map(|step| step.detail);
    steps.filter(|step| step.starts_with("SEARCH") || step.starts_with("SCAN")).collect()
}

#[tokio::test]
async fn rivals_are_found_by_the_key_of_each_added_unit() {
    let steps = plan(conflicts::RIVALS).await;
    insta::assert_snapshot!(steps.join("\n"), @r"
    SEARCH staged USING PRIMARY KEY (repository_id=? AND number=?)
    SEARCH fresh USING PRIMARY KEY (repository_id=? AND content_id=? AND version_added=?)
    SEARCH unit USING INDEX sqlite_autoindex_content_1 (id=?)
    SEARCH rival USING INDEX content_repo_key (repo_key=?)
    SEARCH present USING PRIMARY KEY (repository_id=? AND content_id=?)
    SEARCH also USING PRIMARY KEY (repository_id=? AND number=? AND content_id=?)
    ");
}

#[tokio::test]
async fn rivals_of_an_older_version_are_found_by_key() {
    let steps = plan(complete::STAGE_BASE).await;
    insta::assert_snapshot!(steps.join("\n"), @r"
    SEARCH old USING PRIMARY KEY (repository_id=?)
    SEARCH unit USING INDEX sqlite_autoindex_content_1 (id=?)
    SEARCH rival USING INDEX content_repo_key (repo_key=?)
    SEARCH staged USING PRIMARY KEY (repository_id=? AND number=? AND content_id=?)
    ");
}

#[tokio::test]
async fn the_unit_at_a_place_is_found_by_key() {
    let steps = plan(listing::AT_REPO_KEY).await;
    insta::assert_snapshot!(steps.join("\n"), @r"
    SEARCH unit USING INDEX content_repo_key (repo_key=?)
    SEARCH member USING PRIMARY KEY (repository_id=? AND content_id=? AND version_added<?)
    ");
}
