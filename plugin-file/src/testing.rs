//! What the parsers' tests share: URLs, random files, bytes that are nearly a list.

use proptest::prelude::*;
use pulp_models::{RelativePath, RemoteUrl, Sha256};

/// A URL that is known to be one.
pub(crate) fn url(text: &str) -> RemoteUrl {
    text.parse().expect("a valid URL")
}

/// A random file: path, digest, size.
pub(crate) fn file() -> impl Strategy<Value = (RelativePath, Sha256, u64)> {
    (path(), any::<[u8; 32]>().prop_map(Sha256), any::<u64>())
}

/// A random valid path, with plenty of commas, spaces, backslashes and parentheses.
pub(crate) fn path() -> impl Strategy<Value = RelativePath> {
    prop_oneof!["[a-c ,#*()=\\\\./-]{1,12}", "\\PC{1,20}"]
        .prop_filter_map("not a relative path", |text| RelativePath::new(&text).ok())
}

/// Bytes made of `pieces` of a format with noise between, so that they get deep into its parser.
pub(crate) fn bytes_like(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..4);
    prop::collection::vec(prop_oneof![4 => piece, 1 => noise], 0..60)
        .prop_map(|parts| parts.concat())
}
