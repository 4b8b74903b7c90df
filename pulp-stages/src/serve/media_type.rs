//! The `Content-Type` of a file, told by its name.
//!
//! A small table of what repositories hold; plugins that know better say so in
//! [`super::ResponseOptions`].

use http::HeaderValue;

/// For names that say nothing.
const UNKNOWN: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The media type for `name` (a path or its last segment); the extension's case does not matter.
pub(super) fn of(name: &str) -> HeaderValue {
    let file = name.rsplit('/').next().unwrap_or(name);
    let Some((_, extension)) = file.rsplit_once('.') else { return without_extension(file) };
    let text = match extension.to_ascii_lowercase().as_str() {
        "asc" | "sig" | "gpg" => "application/pgp-signature",
        "bz2" => "application/x-bzip2",
        "css" => "text/css; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "deb" | "udeb" | "ddeb" => "application/vnd.debian.binary-package",
        "dsc" | "changes" | "buildinfo" | "txt" | "log" | "md" => "text/plain; charset=utf-8",
        "gif" => "image/gif",
        "gz" | "tgz" => "application/gzip",
        "htm" | "html" => "text/html; charset=utf-8",
        "ico" => "image/vnd.microsoft.icon",
        "iso" => "application/x-iso9660-image",
        "jar" => "application/java-archive",
        "jpeg" | "jpg" => "image/jpeg",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "meta4" => "application/metalink4+xml",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "rpm" => "application/x-rpm",
        "svg" => "image/svg+xml",
        "tar" => "application/x-tar",
        "toml" => "application/toml",
        "xml" => "application/xml",
        "xz" | "txz" => "application/x-xz",
        "yaml" | "yml" => "application/yaml",
        "zip" | "whl" => "application/zip",
        "zst" => "application/zstd",
        _ => return UNKNOWN,
    };
    HeaderValue::from_static(text)
}

/// The well-known names that have no extension.
fn without_extension(file: &str) -> HeaderValue {
    match file {
        "Release" | "InRelease" | "Packages" | "Sources" | "PULP_MANIFEST" | "SHA256SUMS"
        | "SHA512SUMS" | "MD5SUMS" | "README" | "LICENSE" | "COPYING" => {
            HeaderValue::from_static("text/plain; charset=utf-8")
        }
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_extension_counts_whatever_its_case() {
        assert_eq!(of("pool/a_1.0_amd64.DEB"), "application/vnd.debian.binary-package");
        assert_eq!(of("dists/stable/main/binary-amd64/Packages.gz"), "application/gzip");
        assert_eq!(of("dists/stable/InRelease"), "text/plain; charset=utf-8");
        assert_eq!(of("v1.2/data"), "application/octet-stream");
        assert_eq!(of(""), "application/octet-stream");
    }
}
