//! What is measured: a table of cases.
//!
//! A case is a set of data upstream, steps that get an installation ready, and one that is
//! measured. Words in braces are filled in for every run: `{url}` is where the set is, `{server}`
//! its server, `{host}` the same without `http://`, `{set}` the set's path on it without `v2/`,
//! `{suite}` an archive's suite, `{folder}` a folder of the run's own.

use super::{
    data::{Layers, Set},
    rivals::{
        APTLY, APTLY_AGAIN, APTLY_METADATA, CURL, DEBMIRROR, NGINX, REPREPRO, REPREPRO_AGAIN,
        Rival, SKOPEO, WGET,
    },
    steps::{Policy, Step},
};

/// One thing that is measured.
pub(super) struct Case {
    /// As in `file/many-immediate`.
    pub(super) name: &'static str,
    /// For people who read the table.
    pub(super) about: &'static str,
    pub(super) set: Set,
    /// What goes before, unmeasured.
    pub(super) before: &'static [Step],
    pub(super) what: What,
    /// Others that do the same work.
    pub(super) rivals: &'static [Rival],
}

/// What the clock runs over.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// One step of an installation.
    Step(Step),
    /// The example `line_bench`: stages that do nothing.
    Line,
    /// Requests to `pulp serve`.
    Serving(Load),
}

/// What clients ask a server for.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// Clients, each with a connection and one request at a time.
    pub(super) connections: u64,
    pub(super) requests: u64,
    pub(super) target: Target,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Target {
    /// Whole files, one after the other.
    Files,
    /// 64 KiB out of the middle of files.
    Ranges,
    /// The page that lists a folder.
    Listing,
}

const SMALL: Set = Set::Files { name: "small", count: 1000, size: 10 << 10 };
const MANY: Set = Set::Files { name: "many", count: 70_000, size: 1 << 10 };
const BIG: Set = Set::Files { name: "big", count: 100, size: 10 << 20 };
const TINY: Set = Set::Files { name: "tiny", count: 500, size: 1 << 10 };
const DEBIAN: Set =
    Set::Archive { name: "debian", suite: "bookworm", packages: 63_440, bodies: false };
const DEBREAL: Set = Set::Archive { name: "debreal", suite: "stable", packages: 285, bodies: true };
const IMAGES: Set = Set::Images {
    name: "many",
    tags: 200,
    platforms: 1,
    shared: Layers { count: 3, size: 5 << 20 },
    own: Layers { count: 2, size: 256 << 10 },
};
const INDEXES: Set = Set::Images {
    name: "multi",
    tags: 20,
    platforms: 4,
    shared: Layers { count: 1, size: 1 << 20 },
    own: Layers { count: 1, size: 128 << 10 },
};
const BIG_IMAGES: Set = Set::Images {
    name: "big",
    tags: 5,
    platforms: 1,
    shared: Layers { count: 0, size: 0 },
    own: Layers { count: 4, size: 50 << 20 },
};

/// The steps of most cases.
const IMMEDIATE: Step = Step::Mirror(Policy::Immediate);
const ON_DEMAND: Step = Step::Mirror(Policy::OnDemand);

const fn case(name: &'static str, about: &'static str, set: Set, what: What) -> Case {
    Case { name, about, set, before: &[], what, rivals: &[] }
}

impl Case {
    const fn after(mut self, before: &'static [Step]) -> Self {
        self.before = before;
        self
    }

    const fn against(mut self, rivals: &'static [Rival]) -> Self {
        self.rivals = rivals;
        self
    }

    /// How many units (files, packages, tags, requests) one run handles.
    pub(super) fn units(&self, quick: bool) -> u64 {
        match self.what {
            What::Step(_) => self.set.units(quick),
            What::Line => LINE_UNITS * LINE_STAGES * LINE_RUNS,
            What::Serving(load) => load.requests(self.set, quick),
        }
    }

    /// Whether a quick run includes it: one of each kind.
    pub(super) fn is_quick(&self) -> bool {
        const QUICK: &[&str] = &[
            "file/small-immediate",
            "file/unchanged",
            "deb/publish",
            "container/immediate",
            "serve/small",
            "serve/fill",
        ];
        QUICK.contains(&self.name)
    }
}

impl Load {
    pub(super) fn requests(self, set: Set, quick: bool) -> u64 {
        if quick { set.units(quick) } else { self.requests }
    }
}

/// What `line_bench` is told, and how many lines it runs.
pub(super) const LINE_UNITS: u64 = 1_000_000;
pub(super) const LINE_STAGES: u64 = 10;
const LINE_RUNS: u64 = 10;

/// Every case, in the order in which they run.
pub(super) static CASES: &[Case] = &[
    step("file/small-immediate", "1,000 files of 10 KiB", SMALL, IMMEDIATE).against(&[CURL, WGET]),
    step("file/small-on-demand", "1,000 files of 10 KiB", SMALL, ON_DEMAND),
    step("file/unchanged", "the same again", SMALL, Step::Sync).after(&[IMMEDIATE]),
    step("file/many-on-demand", "70,000 files of 1 KiB", MANY, ON_DEMAND),
    step("file/many-unchanged", "the same again", MANY, Step::Sync).after(&[ON_DEMAND]),
    step("file/many-forced", "every line read again", MANY, Step::Force).after(&[ON_DEMAND]),
    step("file/many-immediate", "70,000 files of 1 KiB", MANY, IMMEDIATE).against(&[CURL, WGET]),
    step("file/big-immediate", "100 files of 10 MiB", BIG, IMMEDIATE).against(&[CURL, WGET]),
    step("deb/on-demand", "63,440 packages, metadata only", DEBIAN, ON_DEMAND)
        .against(&[APTLY_METADATA, REPREPRO]),
    step("deb/unchanged", "the same again", DEBIAN, Step::Sync)
        .after(&[ON_DEMAND])
        .against(&[APTLY_AGAIN, REPREPRO_AGAIN]),
    step("deb/forced", "every index read again", DEBIAN, Step::Force).after(&[ON_DEMAND]),
    step("deb/publish", "structured, signed, plain and gz", DEBIAN, Step::Publish(&["gz"]))
        .after(&[ON_DEMAND]),
    step("deb/publish-more", "gz, xz and zstd", DEBIAN, Step::Publish(&["gz", "xz", "zst"]))
        .after(&[ON_DEMAND]),
    step("deb/immediate", "285 packages of 110 KB", DEBREAL, IMMEDIATE)
        .against(&[APTLY, DEBMIRROR, REPREPRO]),
    step("container/immediate", "200 tags, 603 blobs", IMAGES, IMMEDIATE).against(&[SKOPEO]),
    step("container/on-demand", "200 tags, metadata only", IMAGES, ON_DEMAND),
    step("container/unchanged", "the same again", IMAGES, Step::Sync).after(&[IMMEDIATE]),
    step("container/indexes", "20 indexes of four platforms", INDEXES, IMMEDIATE)
        .against(&[SKOPEO]),
    step("container/big", "5 images of 200 MiB", BIG_IMAGES, IMMEDIATE).against(&[SKOPEO]),
    case("pipeline/line", "1 M units through ten stages, ten lines", Set::Nothing, What::Line),
    serving("serve/small", "1 KiB files, 16 clients", TINY, 16, 40_000, Target::Files)
        .after(&[IMMEDIATE])
        .against(&[NGINX]),
    serving("serve/large", "10 MiB files, 8 clients", BIG, 8, 600, Target::Files)
        .after(&[IMMEDIATE])
        .against(&[NGINX]),
    serving("serve/ranges", "64 KiB ranges, 16 clients", BIG, 16, 20_000, Target::Ranges)
        .after(&[IMMEDIATE])
        .against(&[NGINX]),
    serving("serve/listing", "pages of 500 files, 16 clients", TINY, 16, 2000, Target::Listing)
        .after(&[IMMEDIATE])
        .against(&[NGINX]),
    serving("serve/fill", "on demand, each file once", SMALL, 16, 1000, Target::Files)
        .after(&[ON_DEMAND]),
    scale("scale/1k", 1000),
    scale("scale/10k", 10_000),
    scale("scale/100k", 100_000),
    scale("scale/1m", 1_000_000),
    scale_tags("scale-tags/100", "tags-100", 100),
    scale_tags("scale-tags/1k", "tags-1k", 1000),
    scale_tags("scale-tags/10k", "tags-10k", 10_000),
    scale_tags("scale-tags/50k", "tags-50k", 50_000),
];

const fn step(name: &'static str, about: &'static str, set: Set, step: Step) -> Case {
    case(name, about, set, What::Step(step))
}

const fn serving(
    name: &'static str,
    about: &'static str,
    set: Set,
    connections: u64,
    requests: u64,
    target: Target,
) -> Case {
    case(name, about, set, What::Serving(Load { connections, requests, target }))
}

const fn scale(name: &'static str, count: u64) -> Case {
    step(name, "files, metadata only", Set::Listed { count }, ON_DEMAND)
}

const fn scale_tags(name: &'static str, set: &'static str, tags: u64) -> Case {
    let layers = Layers { count: 1, size: 1 << 10 };
    let set = Set::Images { name: set, tags, platforms: 1, shared: layers, own: layers };
    step(name, "tags, metadata only", set, ON_DEMAND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_kind_is_part_of_a_quick_run() {
        let mut names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
        let quick: Vec<_> = CASES.iter().filter(|case| case.is_quick()).collect();
        for kind in ["file/", "deb/", "container/", "serve/"] {
            assert!(quick.iter().any(|case| case.name.starts_with(kind)), "{kind}");
        }
    }
}
