//! Both databases have the same schema, and it is the one that diesel was told.

use std::collections::BTreeMap;

use diesel::{RunQueryDsl as _, prelude::*, sql_types::Text};

use super::*;
use crate::{
    Connection, both_databases,
    db::{Backend, DbError, dialect::Statements as _, on},
    testing::TestDatabase,
};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    of: String,
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(PartialEq, Eq)]
enum Order {
    /// Columns stand in a table's order.
    Kept,
    Sorted,
}

/// One line per column, key, index and foreign key, in words that both databases share.
pub(super) fn describe(conn: &mut Connection) -> Result<String, DbError> {
    let queries: &[&str] = match conn.backend() {
        Backend::Sqlite(_) => &SQLITE,
        Backend::Postgres(_) => &POSTGRES,
    };
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (query, order) in queries.iter().zip([Order::Kept, Order::Sorted, Order::Sorted]) {
        let mut lines: Vec<Line> = on!(conn, c => c.statement(query).load(c))?;
        if order == Order::Sorted {
            lines.sort_by(|a, b| a.line.cmp(&b.line));
        }
        for Line { of, line } in lines {
            tables.entry(of).or_default().push(line);
        }
    }
    let describe =
        |(table, lines): (String, Vec<String>)| format!("{table}\n  {}\n", lines.join("\n  "));
    Ok(tables.into_iter().map(describe).collect())
}

const SQLITE: [&str; 3] = [
    "SELECT t.name AS of, c.name || ' ' || CASE c.type WHEN 'BLOB' THEN 'bytes'
         WHEN 'TEXT' THEN 'text' ELSE 'integer' END
         || CASE WHEN c.\"notnull\" = 1 THEN '' ELSE ' nullable' END AS line
     FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
     WHERE t.type = 'table' AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY t.name, c.cid",
    "SELECT t.name AS of, CASE i.origin WHEN 'pk' THEN 'primary key' WHEN 'u' THEN 'unique'
         ELSE 'index' END || ' (' || (
             SELECT group_concat(name, ', ') FROM (
                 SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)) || ')'
         || CASE WHEN i.partial = 1 THEN ' partial' ELSE '' END AS line
     FROM sqlite_schema AS t JOIN pragma_index_list(t.name) AS i
     WHERE t.type = 'table' AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\' ",
    "SELECT t.name AS of, 'foreign key (' || f.\"from\" || ') to ' || f.\"table\" || ' (' || f.\"to\"
         || ') ' || lower(f.on_delete) AS line
     FROM sqlite_schema AS t JOIN pragma_foreign_key_list(t.name) AS f
     WHERE t.type = 'table' ",
];

const POSTGRES: [&str; 3] = [
    "SELECT table_name::text AS of, column_name || ' ' || CASE data_type
         WHEN 'uuid' THEN 'bytes' WHEN 'bytea' THEN 'bytes' WHEN 'text' THEN 'text'
         WHEN 'jsonb' THEN 'text' WHEN 'bigint' THEN 'integer' WHEN 'integer' THEN 'integer'
         WHEN 'boolean' THEN 'integer' ELSE 'unexpected ' || data_type END
         || CASE is_nullable WHEN 'NO' THEN '' ELSE ' nullable' END AS line
     FROM information_schema.columns
     WHERE table_schema = current_schema() AND table_name NOT LIKE '\\_\\_%'
     ORDER BY table_name, ordinal_position",
    "SELECT t.relname::text AS of, CASE WHEN i.indisprimary THEN 'primary key'
         WHEN i.indisunique THEN 'unique' ELSE 'index' END || ' (' || (
             SELECT string_agg(a.attname, ', ' ORDER BY k.place)
             FROM unnest(i.indkey::int[]) WITH ORDINALITY AS k (number, place)
             JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.number) || ')'
         || CASE WHEN i.indpred IS NULL THEN '' ELSE ' partial' END AS line
     FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid
     WHERE t.relnamespace = current_schema()::regnamespace AND t.relname NOT LIKE '\\_\\_%'",
    "SELECT t.relname::text AS of, 'foreign key (' || a.attname || ') to ' || r.relname || ' ('
         || b.attname || ') ' || CASE f.confdeltype WHEN 'c' THEN 'cascade'
             WHEN 'r' THEN 'restrict' WHEN 'n' THEN 'set null' ELSE 'no action' END AS line
     FROM pg_constraint AS f
     JOIN pg_class AS t ON t.oid = f.conrelid JOIN pg_class AS r ON r.oid = f.confrelid
     JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = f.conkey[1]
     JOIN pg_attribute AS b ON b.attrelid = r.oid AND b.attnum = f.confkey[1]
     WHERE f.contype = 'f' AND t.relnamespace = current_schema()::regnamespace
     ",
];

both_databases! {
    async fn both_databases_have_one_schema(db: TestDatabase) {
        let description = db.read(describe).await.expect("introspected");
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!("schema", description);
        });
    }

    async fn every_table_has_the_columns_that_diesel_was_told(db: TestDatabase) {
        db.read(|conn| {
            macro_rules! select_from {
                ($($table:ident)*) => {$(
                    on!(conn, c => $table::table.select($table::all_columns).limit(0).execute(c))?;
                )*};
            }
            select_from!(
                content artifact artifact_digest content_artifact remote_artifact remote repository
                repository_version repository_content incomplete_version_content publication
                published_artifact distribution task progress_report alternate_content_source
            );
            Ok(())
        })
        .await
        .expect("all can be selected");
    }
}
