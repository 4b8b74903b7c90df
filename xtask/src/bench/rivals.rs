//! Other programs that do the work of some cases, and how they are told to.
//!
//! The words in braces are those of [`cases`](super::cases). What a program wants in files of its
//! own lies in the run's folder: `curl` and `urls` list the files of a set, `aptly.json` and
//! `reprepro/conf/` are settings.

/// Another program that does a case's work.
pub(super) struct Rival {
    pub(super) program: &'static str,
    /// Unmeasured.
    pub(super) before: &'static [&'static str],
    pub(super) command: &'static str,
}

pub(super) const CURL: Rival = Rival {
    program: "curl",
    before: &[],
    command: "curl --silent --fail --parallel --parallel-max 16 --create-dirs --config {folder}/curl",
};
pub(super) const WGET: Rival = Rival {
    program: "wget",
    before: &[],
    command: "wget --quiet --force-directories --directory-prefix {folder}/out --input-file {folder}/urls",
};
pub(super) const NGINX: Rival = Rival { program: "nginx", before: &[], command: "" };
pub(super) const SKOPEO: Rival = Rival {
    program: "skopeo",
    before: &[],
    command: "skopeo --insecure-policy sync --all --src docker --dest dir \
              --src-tls-verify=false {host}/{set} {folder}/out",
};

const APTLY_CREATE: &str = "aptly -config={folder}/aptly.json mirror create -ignore-signatures \
                            -architectures=amd64 bench {url} {suite} main";
/// With a filter that nothing matches: it parses the index and stores nothing of it.
const APTLY_CREATE_NOTHING: &str = "aptly -config={folder}/aptly.json mirror create -ignore-signatures -architectures=amd64 \
     -filter=nothing bench {url} {suite} main";
const APTLY_UPDATE: &str =
    "aptly -config={folder}/aptly.json mirror update -ignore-signatures bench";
pub(super) const APTLY: Rival =
    Rival { program: "aptly", before: &[APTLY_CREATE], command: APTLY_UPDATE };
pub(super) const APTLY_METADATA: Rival =
    Rival { program: "aptly", before: &[APTLY_CREATE_NOTHING], command: APTLY_UPDATE };
pub(super) const APTLY_AGAIN: Rival = Rival {
    program: "aptly",
    before: &[APTLY_CREATE_NOTHING, APTLY_UPDATE],
    command: APTLY_UPDATE,
};

pub(super) const DEBMIRROR: Rival = Rival {
    program: "debmirror",
    before: &[],
    command: "debmirror --method=http --host={host} --root={set} --dist={suite} --section=main \
              --arch=amd64 --nosource --no-check-gpg --ignore-release-gpg --rsync-extra=none \
              --i18n --diff=none {folder}/out",
};

const REPREPRO_UPDATE: &str = "reprepro --basedir {folder}/reprepro --silent update";
/// Parses the index and stores nothing of it where there are no bodies.
pub(super) const REPREPRO: Rival =
    Rival { program: "reprepro", before: &[], command: REPREPRO_UPDATE };
pub(super) const REPREPRO_AGAIN: Rival =
    Rival { program: "reprepro", before: &[REPREPRO_UPDATE], command: REPREPRO_UPDATE };
