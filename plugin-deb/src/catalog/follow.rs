//! What the chosen packages need, and what that needs in turn.
//!
//! Of each group of alternatives one is enough. One that is mirrored already does; else it is the
//! first that exists, a real package before one that only provides the name, the newest version
//! that is accepted, as apt would choose it. A package's own distribution comes first; what is not
//! there is taken from each of the others that has it, since clients may have any of them.

use std::collections::VecDeque;

use super::{Catalog, Entry, Family, MultiArch};
use crate::relation::{Relation, alternatives, compare_versions, groups};

/// Of unmet dependencies so many are named.
const SHOWN: usize = 10;

impl Catalog {
    /// Chooses what is needed; gives, in words, what nothing meets.
    pub(super) fn follow(&mut self) -> Vec<String> {
        let architectures = self.architectures();
        let is_binary = |entry: &Entry| entry.family != Family::Sources;
        let mut queue: VecDeque<u32> = (0..)
            .zip(&self.entries)
            .filter(|(_, entry)| entry.is_chosen && is_binary(entry))
            .map(|(id, _)| id)
            .collect();
        let (mut unmet, mut more) = (Vec::new(), 0_u64);
        while let Some(id) = queue.pop_front() {
            let needs = std::mem::take(&mut self.entries[id as usize].needs);
            let own = self.entries[id as usize].architecture;
            let is_all = *self.words[usize::from(own)] == *"all";
            let targets = if is_all { &architectures[..] } else { std::slice::from_ref(&own) };
            for group in groups(&needs) {
                let relations: Vec<_> = alternatives(group).collect();
                let mut is_met = false;
                for target in targets {
                    let Some(found) = self.meet(id, &relations, *target) else { continue };
                    is_met = true;
                    for found in found {
                        self.entries[found as usize].is_chosen = true;
                        queue.push_back(found);
                    }
                }
                if is_met || targets.is_empty() {
                    continue;
                }
                if unmet.len() < SHOWN {
                    let Entry { name, version, .. } = &self.entries[id as usize];
                    unmet.push(format!("`{name}` {version} needs `{group}`"));
                } else {
                    more += 1;
                }
            }
        }
        if more > 0 {
            unmet.push(format!("{more} more"));
        }
        unmet
    }

    /// The architectures that packages of architecture `all` are installed on; `all` if there are
    /// no others.
    fn architectures(&self) -> Vec<u16> {
        let binary = self.entries.iter().filter(|entry| entry.family != Family::Sources);
        let mut all: Vec<u16> = binary.map(|entry| entry.architecture).collect();
        all.sort_unstable();
        all.dedup();
        if all.len() > 1 {
            all.retain(|one| *self.words[usize::from(*one)] != *"all");
        }
        all
    }

    /// What is to be added so that one of `relations` of the package `id` is met on the architecture
    /// `target`: often nothing. `None` if that is impossible.
    fn meet(&self, id: u32, relations: &[Relation<'_>], target: u16) -> Option<Vec<u32>> {
        let entry = &self.entries[id as usize];
        let candidates: Vec<Vec<u32>> = relations
            .iter()
            .map(|relation| self.candidates(entry.family, relation, target))
            .collect();
        let mut distributions: Vec<u16> =
            candidates.iter().flatten().map(|id| self.entries[*id as usize].distribution).collect();
        distributions.sort_unstable();
        distributions.dedup();
        if distributions.contains(&entry.distribution) {
            distributions = vec![entry.distribution];
        }
        if distributions.is_empty() {
            return None;
        }
        let missing = distributions.into_iter().filter_map(|distribution| {
            let here = |id: &&u32| self.entries[**id as usize].distribution == distribution;
            if candidates
                .iter()
                .flatten()
                .filter(here)
                .any(|id| self.entries[*id as usize].is_chosen)
            {
                return None;
            }
            candidates.iter().find_map(|ids| ids.iter().find(here)).copied()
        });
        Some(missing.collect())
    }

    /// The packages that meet `relation` on the architecture `target`, the preferred one first.
    fn candidates(&self, family: Family, relation: &Relation<'_>, target: u16) -> Vec<u32> {
        let names = match family {
            Family::InstallerPackages => &self.installer_packages,
            _ => &self.packages,
        };
        let entry = |id: u32| &self.entries[id as usize];
        let real = names.real.get(relation.name).into_iter().flatten().copied();
        let mut real: Vec<u32> = real.filter(|id| relation.accepts(&entry(*id).version)).collect();
        let provided = names.provided.get(relation.name).into_iter().flatten();
        let mut provided: Vec<u32> = provided
            .filter(|(_, version)| relation.accepts_provided(version.as_deref()))
            .map(|(id, _)| *id)
            .collect();
        let newest =
            |one: &u32, other: &u32| compare_versions(&entry(*other).version, &entry(*one).version);
        real.sort_by(newest);
        provided.sort_by(|one, other| {
            let (left, right) = (entry(*one), entry(*other));
            (left.priority, &left.name)
                .cmp(&(right.priority, &right.name))
                .then_with(|| newest(one, other))
        });
        let all = [real, provided].concat();
        let target = match relation.qualifier {
            None | Some("any" | "native") => Some(target),
            Some(named) => {
                let at = self.words.iter().position(|word| **word == *named);
                at.and_then(|at| u16::try_from(at).ok())
            }
        };
        let native = |id: &u32| {
            let own = entry(*id).architecture;
            Some(own) == target || *self.words[usize::from(own)] == *"all"
        };
        let serves = |id: &u32| match entry(*id).multi_arch {
            MultiArch::Foreign => true,
            MultiArch::Allowed => relation.qualifier == Some("any"),
            MultiArch::No => false,
        };
        let fitting: Vec<u32> = all.iter().filter(|id| native(id)).copied().collect();
        if fitting.is_empty() { all.into_iter().filter(serves).collect() } else { fitting }
    }
}
