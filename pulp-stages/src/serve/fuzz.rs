//! Fuzz targets of what clients send; see [`crate::testing::fuzz()`].

use http::HeaderValue;

use super::{range, request_path::RequestPath};
use crate::testing::fuzz;

#[test]
fn ranges() {
    let seeds: [&[u8]; 4] = [b"bytes=0-0", b"bytes=-5", b"bytes=9-,1-2 , 3-4", b"Bytes = 1-"];
    fuzz(&seeds, |bytes| {
        if let Ok(header) = HeaderValue::from_bytes(bytes) {
            for length in [0, 1, 10, u64::MAX] {
                range::select(Some(&header), length);
            }
        }
    });
}

#[test]
fn request_paths() {
    let seeds: [&[u8]; 3] = [b"a/b%20c/", b"%C3%A9/..", b"a%2fb"];
    fuzz(&seeds, |bytes| {
        if let Ok(path) = RequestPath::parse(&String::from_utf8_lossy(bytes)) {
            path.prefixes().take(10).for_each(drop);
            assert!(path.as_str().split('/').all(|segment| segment != ".."));
        }
    });
}
