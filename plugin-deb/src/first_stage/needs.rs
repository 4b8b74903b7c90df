//! Which index files a sync cannot do without, which name further content, and which repeat others.

use crate::selection::{Family, Index};

/// Whether a sync without files of this family would not be what was asked for.
pub(super) fn is_mandatory(family: Family) -> bool {
    matches!(family, Family::Packages | Family::InstallerPackages | Family::Sources)
}

/// Whether the file names further content. Of the installer's two lists only one does.
pub(super) fn is_read(index: &Index) -> bool {
    is_mandatory(index.family)
        || index.family == Family::Diffs
        || (index.family == Family::Installer && index.path.file_name() == "SHA256SUMS")
}

/// Whether `index` holds only packages of architecture `all` that other selected ones hold too,
/// given that the release file says so in general.
pub(super) fn is_repeated(index: &Index, all: &[Index]) -> bool {
    index.architecture.as_deref() == Some("all")
        && all.iter().any(|other| {
            (other.family, &other.component) == (index.family, &index.component)
                && other.architecture != index.architecture
        })
}
