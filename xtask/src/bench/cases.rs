//! What is measured: a table of cases.
//!
//! A case is a set of data upstream, commands that get an installation ready, and one that is
//! measured. Words in braces are filled in for every run: `{url}` is where the set is, `{server}`
//! its server, `{host}` the same without `http://`, `{set}` the set's path on it without `v2/`, `{folder}` a folder
//! of the run's own, `{data}` where the set lies on disk.

use super::data::Set;

/// One thing that is measured.
pub(super) struct Case {
    /// As in `file/many-immediate`.
    pub(super) name: &'static str,
    /// For people who read the table.
    pub(super) about: &'static str,
    pub(super) set: Set,
    /// Commands of the program that go before, unmeasured.
    pub(super) before: &'static [&'static str],
    pub(super) what: What,
    /// Others that do the same work.
    pub(super) rivals: &'static [Rival],
}

/// What the clock runs over.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// A command of the program.
    Command(&'static str),
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

/// Another program that does a case's work.
pub(super) struct Rival {
    pub(super) program: &'static str,
    /// Unmeasured.
    pub(super) before: &'static [&'static str],
    pub(super) command: &'static str,
}

const SMALL: Set = Set::Files { name: "small", count: 1000, size: 10 << 10 };
const MANY: Set = Set::Files { name: "many", count: 70_000, size: 1 << 10 };
const BIG: Set = Set::Files { name: "big", count: 100, size: 10 << 20 };
const TINY: Set = Set::Files { name: "tiny", count: 500, size: 1 << 10 };
const DEBIAN: Set = Set::Archive { name: "debian", packages: 63_440, bodies: false };
const DEBREAL: Set = Set::Archive { name: "debbodies", packages: 285, bodies: true };
const IMAGES: Set = Set::Images { tags: 200 };

const FILE: &str = "mirror file {url}PULP_MANIFEST --name bench --policy immediate";
const FILE_ON_DEMAND: &str = "mirror file {url}PULP_MANIFEST --name bench --policy on_demand";
const DEB: &str = "mirror deb {url} --name bench --policy immediate --distribution bookworm \
                   --component main --architecture amd64";
const DEB_ON_DEMAND: &str = "mirror deb {url} --name bench --policy on_demand \
                             --distribution bookworm --component main --architecture amd64";
const CONTAINER: &str =
    "mirror container {server} --upstream-name {set} --name bench --policy immediate";
const UNCHANGED: &str = "sync bench";
const FORCED: &str = "sync bench --force";

const CURL: Rival = Rival {
    program: "curl",
    before: &[],
    command: "curl --silent --fail --parallel --parallel-max 16 --create-dirs --config {folder}/curl",
};
const WGET: Rival = Rival {
    program: "wget",
    before: &[],
    command: "wget --quiet --force-directories --directory-prefix {folder}/out --input-file {folder}/urls",
};
const NGINX: Rival = Rival { program: "nginx", before: &[], command: "" };
const SKOPEO: Rival = Rival {
    program: "skopeo",
    before: &[],
    command: "skopeo --insecure-policy sync --src docker --dest dir --src-tls-verify=false \
              {host}/{set} {folder}/out",
};

const fn case(name: &'static str, about: &'static str, set: Set, what: What) -> Case {
    Case { name, about, set, before: &[], what, rivals: &[] }
}

impl Case {
    const fn after(mut self, before: &'static [&'static str]) -> Self {
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
            What::Command(_) => self.set.units(quick),
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
    case("file/small-immediate", "1,000 files of 10 KiB", SMALL, What::Command(FILE))
        .against(&[CURL, WGET]),
    case("file/small-on-demand", "1,000 files of 10 KiB", SMALL, What::Command(FILE_ON_DEMAND)),
    case("file/unchanged", "the same again", SMALL, What::Command(UNCHANGED)).after(&[FILE]),
    case("file/many-on-demand", "70,000 files of 1 KiB", MANY, What::Command(FILE_ON_DEMAND)),
    case("file/many-forced", "every line read again", MANY, What::Command(FORCED))
        .after(&[FILE_ON_DEMAND]),
    case("file/many-immediate", "70,000 files of 1 KiB", MANY, What::Command(FILE))
        .against(&[CURL, WGET]),
    case("file/big-immediate", "100 files of 10 MiB", BIG, What::Command(FILE))
        .against(&[CURL, WGET]),
    case("deb/on-demand", "63,440 packages, metadata only", DEBIAN, What::Command(DEB_ON_DEMAND))
        .against(&[Rival {
            program: "aptly",
            // A filter that nothing matches: it parses the index and stores nothing of it.
            before: &["aptly -config={folder}/aptly.json mirror create -ignore-signatures \
                       -architectures=amd64 -filter=nothing bench {url} bookworm main"],
            command: "aptly -config={folder}/aptly.json mirror update -ignore-signatures bench",
        }]),
    case("deb/unchanged", "the same again", DEBIAN, What::Command(UNCHANGED))
        .after(&[DEB_ON_DEMAND]),
    case("deb/forced", "every index read again", DEBIAN, What::Command(FORCED))
        .after(&[DEB_ON_DEMAND]),
    case(
        "deb/publish",
        "structured, signed, plain and gz",
        DEBIAN,
        What::Command(
            "deb publication create --repository bench --publish structured --compression gz",
        ),
    )
    .after(&[DEB_ON_DEMAND]),
    case("deb/immediate", "285 packages of 110 KB", DEBREAL, What::Command(DEB)).against(&[
        Rival {
            program: "aptly",
            before: &["aptly -config={folder}/aptly.json mirror create -ignore-signatures \
                       -architectures=amd64 bench {url} bookworm main"],
            command: "aptly -config={folder}/aptly.json mirror update -ignore-signatures bench",
        },
        Rival {
            program: "debmirror",
            before: &[],
            command: "debmirror --method=http --host={host} --root={set} --dist=bookworm \
                      --section=main --arch=amd64 --nosource --no-check-gpg --ignore-release-gpg \
                      --rsync-extra=none --i18n --diff=none {folder}/out",
        },
    ]),
    case("container/immediate", "200 tags, 603 blobs", IMAGES, What::Command(CONTAINER))
        .against(&[SKOPEO]),
    case("container/unchanged", "the same again", IMAGES, What::Command(UNCHANGED))
        .after(&[CONTAINER]),
    case("pipeline/line", "1 M units through ten stages, ten lines", Set::Nothing, What::Line),
    serving("serve/small", "1 KiB files, 16 clients", TINY, 16, 40_000, Target::Files)
        .after(&[FILE])
        .against(&[NGINX]),
    serving("serve/large", "10 MiB files, 8 clients", BIG, 8, 600, Target::Files)
        .after(&[FILE])
        .against(&[NGINX]),
    serving("serve/ranges", "64 KiB ranges, 16 clients", BIG, 16, 20_000, Target::Ranges)
        .after(&[FILE])
        .against(&[NGINX]),
    serving("serve/listing", "pages of 500 files, 16 clients", TINY, 16, 2000, Target::Listing)
        .after(&[FILE])
        .against(&[NGINX]),
    serving("serve/fill", "on demand, each file once", SMALL, 16, 1000, Target::Files)
        .after(&[FILE_ON_DEMAND]),
    scale("scale/1k", 1000),
    scale("scale/10k", 10_000),
    scale("scale/100k", 100_000),
    scale("scale/1m", 1_000_000),
];

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
    case(name, "files, metadata only", Set::Listed { count }, What::Command(FILE_ON_DEMAND))
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
