//! What the world does to an installation, one fault at a time: servers that break the rules,
//! documents made to hurt, machines that run out of something.
//!
//! Here stand the cases. A fault is done for real, by a server of bytes ([`hostile`]) or by the
//! system; what has to come of it is success after trying again, or one error that says what to do.

use super::{Case, case};

mod bounds;
mod hostile;
mod transfers;
mod documents;
mod room;
mod machine;

/// The name under which cases mirror.
const NAME: &str = "team/files";

/// Every case of this suite.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("transfers that break heal or are told", transfers::table),
        case("credentials stay at their origin when it redirects", transfers::credentials),
        case("lists of files made to hurt are refused", documents::of_files),
        case("a list of 300,000 files takes no more memory", documents::of_many_files),
        case("Metalinks made to hurt are refused", documents::of_metalinks),
        Case {
            name: "apt indices made to hurt are refused",
            needs: &["xz", "lzma", "bzip2", "zstd"],
            run: documents::of_apt,
        },
        case("registries made to hurt are refused", documents::of_registries),
    ];
    cases.extend(machine::cases());
    cases
}
