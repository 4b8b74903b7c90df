//! Opening, reading, writing and migrating, on both databases.

use diesel::{RunQueryDsl as _, sql_query};

use super::*;
use crate::{
    both_databases,
    repository::{self, NewRepository},
    testing::TestDatabase,
};

fn new(name: &str) -> NewRepository {
    NewRepository::new(name, "file")
}

both_databases! {
    async fn a_failed_write_changes_nothing(db: TestDatabase) {
        let error = db
            .write(|conn| {
                repository::create(conn, &new("a"))?;
                repository::create(conn, &new("a")).map(drop)
            })
            .await
            .expect_err("the name is taken");
        assert_eq!(error.to_string(), "Repository `a` already exists");
        assert!(db.read(repository::list).await.expect("reads").is_empty());
        db.write(|conn| repository::create(conn, &new("a"))).await.expect("free again");
    }

    async fn a_read_cannot_write(db: TestDatabase) {
        db.read(|conn| repository::create(conn, &new("a"))).await.expect_err("read only");
        db.write(|conn| repository::create(conn, &new("a"))).await.expect("still works");
    }

    async fn a_panic_in_a_closure_reaches_the_caller_and_harms_nobody_else(db: TestDatabase) {
        let task = tokio::spawn({
            let db = Db::clone(&db);
            async move {
                db.write(|conn| -> Result<(), DbError> {
                    repository::create(conn, &new("a"))?;
                    panic!("on purpose")
                })
                .await
            }
        });
        assert!(task.await.expect_err("the panic is passed on").is_panic());
        db.write(|conn| repository::create(conn, &new("a"))).await.expect("nothing is left of it");
    }

    async fn a_database_opens_a_second_time_and_by_many_at_once(db: TestDatabase) {
        db.write(|conn| repository::create(conn, &new("a"))).await.expect("written");
        let opens = (0..8).map(|_| Db::open(db.url()));
        for second in futures::future::join_all(opens).await {
            let names = second.expect("opens").read(repository::list).await.expect("reads");
            assert_eq!(names.len(), 1);
        }
    }

    async fn a_database_of_a_newer_program_is_refused(db: TestDatabase) {
        db.write(|conn| {
            let insert = "INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')";
            on!(conn, c => sql_query(insert).execute(c))?;
            Ok(())
        })
        .await
        .expect("written");
        let error = Db::open(db.url()).await.expect_err("from the future");
        assert!(matches!(&error, DbError::Newer { unknown, .. } if unknown == &["9999"]));
        assert!(error.hint().is_some());
    }

    async fn writers_queue_up_instead_of_failing(db: TestDatabase) {
        let writes = (0..64).map(|number| {
            db.write(move |conn| repository::create(conn, &new(&number.to_string())))
        });
        for written in futures::future::join_all(writes).await {
            written.expect("written");
        }
        assert_eq!(db.read(repository::list).await.expect("reads").len(), 64);
    }
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let url: DatabaseUrl = "sqlite:///nonexistent/pulp.sqlite".parse().expect("valid");
    let error = Db::open(&url).await.expect_err("no such folder");
    assert_eq!(error.to_string(), "Failed to open database `sqlite:///nonexistent/pulp.sqlite`");
}
