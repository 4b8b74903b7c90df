//! The state machine on both databases, and whose tasks are dead.

use super::*;
use crate::{both_databases, testing::TestDatabase};

fn new(repository: Option<RepositoryId>) -> NewTask {
    NewTask {
        name: "sync".to_owned(),
        plugin: Some("file".to_owned()),
        repository,
        arguments: Some(serde_json::json!({ "mirror": true })),
        owner: None,
    }
}

fn dead_owner() -> Owner {
    let mut child = std::process::Command::new("true").spawn().expect("started");
    let pid = child.id();
    child.wait().expect("joined");
    Owner { pid, ..Owner::this_process() }
}

both_databases! {
    async fn tasks_are_summed_up_by_kind_repository_and_state(db: TestDatabase) {
        db.write(|conn| {
            let repository = RepositoryId::new();
            let ids = (0..3).map(|_| create(conn, &new(Some(repository))));
            let ids = ids.collect::<Result<Vec<_>, _>>()?;
            for id in &ids[..2] {
                start(conn, *id, &Owner::this_process())?;
                finish(conn, *id, None)?;
            }
            let last = get(conn, ids[1])?.finished;
            let mut sums = latest(conn)?;
            sums.sort_by_key(|sum| sum.count);
            let sum = |state, count, finished| Latest {
                name: "sync".to_owned(), repository: Some(repository), state, count, finished,
            };
            assert_eq!(sums, [
                sum(TaskState::Waiting, 1, None),
                sum(TaskState::Completed, 2, last),
            ]);
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn an_error_that_quotes_a_nul_is_recorded(db: TestDatabase) {
        db.write(|conn| {
            let id = create(conn, &new(None))?;
            start(conn, id, &Owner::this_process())?;
            assert!(fail(conn, id, &serde_json::json!({ "causes": ["Line \0 is no field"] }))?);
            let error = get(conn, id)?.error.expect("an error");
            assert_eq!(error["causes"][0], "Line \u{fffd} is no field");
            Ok(())
        })
        .await
        .expect("a database");
    }

    async fn a_task_lives_and_ends_once(db: TestDatabase) {
        db.write(|conn| {
            let repository = RepositoryId::new();
            let id = create(conn, &new(Some(repository)))?;
            let owner = Owner::this_process();
            assert!(!finish(conn, id, None)?, "it has not begun");
            assert!(!is_canceling(conn, id)?);
            assert!(start(conn, id, &owner)?);
            assert!(!start(conn, id, &owner)?, "it has begun");
            let result = serde_json::json!({ "version": 3 });
            assert!(finish(conn, id, Some(&result))?);
            assert!(!fail(conn, id, &result)?, "it has ended");
            assert_eq!(cancel(conn, id)?, TaskState::Completed);
            let task = get(conn, id)?;
            assert_eq!(task.state, TaskState::Completed);
            assert_eq!(task.result, Some(result));
            assert_eq!(task.arguments, Some(serde_json::json!({ "mirror": true })));
            assert_eq!((task.owner, task.repository), (Some(owner), Some(repository)));
            assert!(task.started <= task.finished && Some(task.created) <= task.started);
            Ok(())
        })
        .await
        .expect("written");
    }

    async fn a_running_task_stops_when_it_wants_to_and_a_waiting_one_at_once(db: TestDatabase) {
        db.write(|conn| {
            let (waiting, running) = (create(conn, &new(None))?, create(conn, &new(None))?);
            assert_eq!(cancel(conn, waiting)?, TaskState::Canceled);
            assert!(!start(conn, waiting, &Owner::this_process())?);
            assert!(start(conn, running, &Owner::this_process())?);
            assert_eq!(cancel(conn, running)?, TaskState::Canceling);
            assert_eq!(cancel(conn, running)?, TaskState::Canceling);
            assert!(is_canceling(conn, running)?);
            assert_eq!(get(conn, running)?.finished, None);
            assert!(canceled(conn, running)?);
            assert_eq!(get(conn, running)?.state, TaskState::Canceled);
            assert!(is_canceling(conn, TaskId::new())?, "nobody waits for its work");
            let missing = get(conn, TaskId::new());
            assert!(matches!(missing, Err(DbError::NotFound { kind: "Task", .. })));
            Ok(())
        })
        .await
        .expect("written");
    }

    async fn tasks_are_listed_newest_first_in_pages(db: TestDatabase) {
        db.write(|conn| {
            let repository = RepositoryId::new();
            let mut ids = Vec::new();
            for at in 0..6 {
                ids.push(create(conn, &new((at % 2 == 0).then_some(repository)))?);
            }
            cancel(conn, ids[4])?;
            let found = |tasks: Vec<Task>| -> Vec<TaskId> {
                tasks.into_iter().map(|task| task.id).collect()
            };
            let page = found(list(conn, Filter::default(), 4)?);
            assert_eq!(page, [ids[5], ids[4], ids[3], ids[2]]);
            let rest = Filter { before: page.last().copied(), ..Filter::default() };
            assert_eq!(found(list(conn, rest, 4)?), [ids[1], ids[0]]);
            let waiting = Filter {
                state: Some(TaskState::Waiting),
                repository: Some(repository),
                before: None,
            };
            assert_eq!(found(list(conn, waiting, 4)?), [ids[2], ids[0]]);
            Ok(())
        })
        .await
        .expect("written");
    }

    async fn what_ended_long_ago_is_forgotten_but_for_the_last_of_its_kind(db: TestDatabase) {
        db.write(|conn| {
            let ended = |conn: &mut Connection, repository, is_good| {
                let id = create(conn, &new(repository))?;
                start(conn, id, &Owner::this_process())?;
                if is_good {
                    finish(conn, id, None)?;
                } else {
                    fail(conn, id, &serde_json::json!({}))?;
                }
                Ok::<_, DbError>(id)
            };
            let repository = Some(RepositoryId::new());
            let first = ended(conn, repository, true)?;
            let failed = [ended(conn, None, false)?, ended(conn, None, false)?];
            let alone = ended(conn, None, true)?;
            let last = ended(conn, repository, true)?;
            let waiting = create(conn, &new(repository))?;
            let later = Timestamp::now().plus_seconds(1);

            let before = get(conn, first)?.finished.expect("it ended");
            assert_eq!(purge(conn, before, &TaskState::ALL)?, 0, "it did not end before its end");
            assert_eq!(purge(conn, later, &[TaskState::Waiting, TaskState::Completed])?, 1);
            assert_eq!(purge(conn, later, &[TaskState::Failed])?, 1);
            let left: Vec<_> =
                list(conn, Filter::default(), 9)?.into_iter().map(|task| task.id).collect();
            assert_eq!(left, [waiting, last, alone, failed[1]]);
            Ok(())
        })
        .await
        .expect("written");
    }

    async fn only_tasks_whose_process_is_gone_are_marked(db: TestDatabase) {
        let dead = dead_owner();
        db.write(move |conn| {
            let repository = Some(RepositoryId::new());
            let owned = |owner: &Owner| NewTask { owner: Some(owner.clone()), ..new(repository) };
            let elsewhere = Owner { host: "elsewhere".to_owned(), ..dead.clone() };
            let never_begun = create(conn, &owned(&dead))?;
            let waits_elsewhere = create(conn, &owned(&elsewhere))?;
            let waits = create(conn, &owned(&Owner::this_process()))?;
            let cleanup = create(conn, &new(None))?;
            start(conn, cleanup, &dead)?;
            let of_repository = create(conn, &owned(&dead))?;
            start(conn, of_repository, &dead)?;
            assert_eq!(fail_dead(conn)?, [never_begun, cleanup]);
            assert_eq!(get(conn, cleanup)?.state, TaskState::Failed);
            for id in [waits_elsewhere, waits] {
                assert_eq!(get(conn, id)?.state, TaskState::Waiting);
            }
            assert_eq!(get(conn, of_repository)?.state, TaskState::Running, "its lock decides");
            assert_eq!(fail_dead(conn)?, []);
            Ok(())
        })
        .await
        .expect("written");
    }
}

#[test]
fn states_survive_their_text() {
    for state in TaskState::ALL {
        assert_eq!(state.name().parse(), Ok(state));
    }
    assert!("done".parse::<TaskState>().is_err());
}
