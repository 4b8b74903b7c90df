//! Rows are found by key where the cost of a statement must not depend on the version's size.

use diesel::{
    RunQueryDsl as _,
    prelude::*,
    sql_types::{BigInt, Text},
};

use super::{
    super::{complete, conflicts, listing, paths},
    *,
};
use crate::db::{dialect::Statements as _, types::Uuid};

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
    SEARCH old USING PRIMARY KEY (repository_id=? AND content_id>? AND content_id<?)
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

/// The plan of a statement with parameters, a line for each step. In PostgreSQL's, a `Join Filter`
/// compares every row with every other.
macro_rules! explained {
    ($conn:ident, $statement:expr, $($type:ty: $value:expr),+) => {{
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
            text: String,
        }
        let lines: Vec<Line> = $conn
            .statement(&format!("EXPLAIN (COSTS OFF) {}", $statement))
            $(.bind::<$type, _>($value))+
            .load($conn)?;
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n")
    }};
}

/// What one transaction writes has no statistics yet, as here.
mod postgres {
    use super::*;

    #[tokio::test]
    async fn a_version_is_completed_by_keys() {
        let db = TestDatabase::postgres().await;
        let plans = db.write(|conn| {
            let (repository, number) = (new_repository(conn, "new"), 1_i64);
            let none = ContentId::from(uuid::Uuid::nil());
            let all = ContentId::from(uuid::Uuid::max());
            Ok(on!(conn, c => [
                explained!(
                    c, complete::ADD, Uuid: repository, BigInt: number, Uuid: none, Uuid: all
                ),
                explained!(
                    c, complete::REMOVE_UNSTAGED,
                    BigInt: number, Uuid: repository, Uuid: none, Uuid: all
                ),
                explained!(
                    c, paths::ADDED_PAGE, Uuid: repository, BigInt: number, Uuid: none, BigInt: 10_i64
                ),
            ]))
        });
        for plan in plans.await.expect("explained") {
            assert!(!plan.contains("Join Filter") && !plan.contains("Seq Scan"), "{plan}");
        }
    }

    #[tokio::test]
    async fn the_planner_knows_of_a_version_as_soon_as_it_is_there() {
        #[derive(QueryableByName)]
        struct Table {
            #[diesel(sql_type = BigInt)]
            units: i64,
        }
        let db = TestDatabase::postgres().await;
        let known = db.write(|conn| {
            let repository = new_repository(conn, "new");
            let units: Vec<_> = (0..20).map(|number| unit(conn, &number.to_string())).collect();
            mirror(conn, repository, &units)?;
            let known: Table = on!(conn, c => c.statement(
                "SELECT reltuples::bigint AS units FROM pg_class
                 WHERE oid = 'repository_content'::regclass")
                .get_result(c))?;
            Ok(known.units)
        });
        assert_eq!(known.await.expect("read"), 20);
    }

    /// Where a page begins must not matter, so nothing may be joined but its own rows.
    #[tokio::test]
    async fn a_page_probes_for_each_unit() {
        let db = TestDatabase::postgres().await;
        let plan = db.write(|conn| {
            let repository = new_repository(conn, "new");
            let units: Vec<_> = (0..200).map(|number| unit(conn, &number.to_string())).collect();
            mirror(conn, repository, &units)?;
            Ok(on!(conn, c => {
                let page = listing::page_of(Columns::All, c.join_unit());
                explained!(
                    c, page, Uuid: repository, Uuid: units[100], BigInt: 1_i64,
                    diesel::sql_types::Nullable<Text>: None::<String>, BigInt: 10_i64
                )
            }))
        });
        let plan = plan.await.expect("explained");
        assert!(plan.contains("id = member.content_id"), "{plan}");
        assert!(!plan.contains("Merge Join") && !plan.contains("Hash Join"), "{plan}");
    }

    #[tokio::test]
    async fn rivals_are_found_by_the_key_of_each_added_unit() {
        let db = TestDatabase::postgres().await;
        let plan = db.write(|conn| {
            let (repository, number) = (new_repository(conn, "new"), 1_i64);
            Ok(on!(conn, c =>
                explained!(c, conflicts::RIVALS, Uuid: repository, BigInt: number)))
        });
        let plan = plan.await.expect("explained");
        assert!(!plan.contains("Seq Scan"), "{plan}");
        for key in ["id = staged.content_id", "content_id = unit.id", "content_id = rival.id"] {
            assert!(plan.contains(key), "not `{key}`: {plan}");
        }
    }
}
