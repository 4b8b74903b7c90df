//! Apt repositories, end to end.

use super::Case;

/// Every case of this suite.
pub(super) fn cases() -> Vec<Case> {
    Vec::new()
}
