//! Versions against a model: numbers mapped to plain sets.

use std::collections::BTreeMap;

use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};

use super::*;

/// Units that a case plays with.
const UNITS: usize = 6;

type Set = BTreeSet<usize>;

#[derive(Debug, Clone)]
enum Step {
    Mirror(Set),
    Add { add: Set, remove: Set, base: Option<Index> },
    Delete(Index),
    Retain(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let units = || btree_set(0..UNITS, 0..=UNITS);
    prop_oneof![
        3 => units().prop_map(Step::Mirror),
        3 => (units(), units(), any::<Option<Index>>())
            .prop_map(|(add, remove, base)| Step::Add { add, remove, base }),
        3 => any::<Index>().prop_map(Step::Delete),
        1 => (1..4_u32).prop_map(Step::Retain),
    ]
}

struct Model {
    versions: BTreeMap<VersionNumber, Set>,
    next: VersionNumber,
}

impl Model {
    fn number(&self, index: Index) -> VersionNumber {
        *index.get(&self.versions.keys().copied().collect::<Vec<_>>())
    }

    fn complete(&mut self, set: Set) {
        if self.versions.values().next_back() != Some(&set) {
            self.versions.insert(self.next, set);
            self.next = self.next.next();
        }
    }

    /// Does the same to the model and to the repository.
    fn step(
        &mut self,
        conn: &mut Connection,
        repository: RepositoryId,
        units: &[ContentId],
        step: Step,
    ) -> Result<(), DbError> {
        let of = |set: &Set| set.iter().map(|unit| units[*unit]).collect::<Vec<_>>();
        match step {
            Step::Mirror(set) => {
                mirror(conn, repository, &of(&set))?;
                self.complete(set);
            }
            Step::Add { add, remove, base } => {
                let base = base.map(|index| self.number(index));
                let how =
                    Completion { base, remove: of(&remove), ..Completion::new(Mode::Additive) };
                sync(conn, repository, &how, &of(&add))?;
                let old = match base {
                    Some(base) => &self.versions[&base],
                    None => self.versions.values().next_back().expect("never empty"),
                };
                self.complete(&(old - &remove) | &add);
            }
            Step::Delete(index) => {
                let number = self.number(index);
                let deleted = delete_version(conn, repository, number);
                assert_eq!(deleted.is_ok(), self.versions.len() > 1);
                if deleted.is_ok() {
                    self.versions.remove(&number);
                }
            }
            Step::Retain(keep) => {
                let deleted = retain_versions(conn, repository, keep)?;
                while self.versions.len() > keep as usize {
                    let (number, _) = self.versions.pop_first().expect("more than one");
                    assert!(deleted.contains(&number));
                }
            }
        }
        Ok(())
    }

    fn check(
        &self,
        conn: &mut Connection,
        repository: RepositoryId,
        units: &[ContentId],
    ) -> Result<(), DbError> {
        let listed = list(conn, repository)?;
        let numbers: Vec<_> = listed.iter().map(|version| version.number).collect();
        assert_eq!(numbers, self.versions.keys().copied().collect::<Vec<_>>());
        let mut before = None;
        for (version, set_of) in listed.iter().zip(self.versions.values()) {
            let expected: BTreeSet<_> = set_of.iter().map(|unit| units[*unit]).collect();
            assert_eq!(set(conn, repository, version.number)?, expected);
            let count = |counts: &BTreeMap<String, u64>| {
                usize::try_from(counts.values().sum::<u64>()).expect("few")
            };
            assert_eq!(count(&version.counts.present), expected.len());
            if let Some((number, old)) = before.replace((version.number, expected.clone())) {
                assert_eq!(count(&version.counts.added), (&expected - &old).len());
                assert_eq!(count(&version.counts.removed), (&old - &expected).len());
                let mut differences: Vec<_> = (&expected - &old)
                    .into_iter()
                    .map(|unit| (unit, Change::Added))
                    .chain((&old - &expected).into_iter().map(|unit| (unit, Change::Removed)))
                    .collect();
                differences.sort_unstable();
                assert_eq!(diff(conn, repository, number, version.number, None, 100)?, differences);
            }
        }
        Ok(())
    }
}

fn check(
    conn: &mut Connection,
    repository: RepositoryId,
    units: &[ContentId],
    steps: Vec<Step>,
) -> Result<(), DbError> {
    let versions = BTreeMap::from([(VersionNumber(0), Set::new())]);
    let mut model = Model { versions, next: VersionNumber(1) };
    for step in steps {
        model.step(conn, repository, units, step)?;
        model.check(conn, repository, units)?;
    }
    Ok(())
}

fn units_and_repository(conn: &mut Connection) -> (RepositoryId, Vec<ContentId>) {
    let units = (0..UNITS).map(|number| unit(conn, &number.to_string())).collect();
    let name = uuid::Uuid::now_v7().to_string();
    (new_repository(conn, &name), units)
}

#[test]
fn versions_behave_like_sets_whatever_is_done_to_them() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("made");
    let db = runtime.block_on(TestDatabase::sqlite());
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&vec(step(), 1..12), |steps| {
            let case = db.write(move |conn| {
                let (repository, units) = units_and_repository(conn);
                check(conn, repository, &units, steps.clone())
            });
            runtime.block_on(case).expect("no statement fails");
            Ok(())
        })
        .expect("equal to the model");
}

both_databases! {
    async fn a_history_of_five_versions_survives_the_deletion_of_each(db: TestDatabase) {
        // Unit 0 comes and goes, 1 is removed and added again around the deleted version.
        let history: [&[usize]; 5] = [&[0, 1, 2], &[1, 2, 3], &[0, 2, 3], &[0, 1, 3], &[1, 4]];
        for deleted in 0..5 {
            db.write(move |conn| {
                let (repository, units) = units_and_repository(conn);
                let mut steps: Vec<Step> = history
                    .iter()
                    .map(|set| Step::Mirror(set.iter().copied().collect()))
                    .collect();
                let versions = BTreeMap::from([(VersionNumber(0), Set::new())]);
                let mut model = Model { versions, next: VersionNumber(1) };
                for step in steps.drain(..) {
                    model.step(conn, repository, &units, step)?;
                }
                let number = VersionNumber(deleted + 1);
                delete_version(conn, repository, number)?;
                model.versions.remove(&number);
                model.check(conn, repository, &units)?;
                // The number is not given again, also when it was the latest.
                let again = add(conn, repository, &[units[5]])?.expect("a new version");
                assert_eq!(again.number, VersionNumber(6));
                Ok(())
            })
            .await
            .expect("done");
        }
    }

    async fn the_only_version_cannot_be_deleted(db: TestDatabase) {
        db.write(|conn| {
            let repository = new_repository(conn, "a");
            let error = delete_version(conn, repository, VersionNumber(0)).expect_err("only one");
            assert_eq!(error.to_string(), "Version 0 of repository `a` is its only one");
            Ok(())
        })
        .await
        .expect("done");
    }
}
