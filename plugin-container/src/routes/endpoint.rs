//! From a path below `/v2/` to what it names (distribution-spec, "Endpoints").
//!
//! Repository names contain slashes, so a path is read from its end. Nothing is looked up here.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::{
    digest::{Digest, DigestError},
    errors::{ErrorCode, RegistryError},
    reference::{Reference, ReferenceError, RepositoryName},
};

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/_token`; no repository has such a name
    Token,
    /// `/v2/<name>/tags/list`
    Tags(RepositoryName),
    /// `/v2/<name>/manifests/<reference>`
    Manifest(RepositoryName, Reference),
    /// `/v2/<name>/blobs/<digest>`
    Blob(RepositoryName, Digest),
    /// `/v2/<name>/blobs/uploads/`
    Uploads(RepositoryName),
    /// `/v2/<name>/blobs/uploads/<reference>`
    Upload(RepositoryName, String),
    /// `/v2/<name>/referrers/<digest>`
    Referrers(RepositoryName, Digest),
    /// `/extensions/v2/<name>/signatures/<digest>`
    Signatures(RepositoryName, Digest),
}

impl Endpoint {
    /// The repository that it is about.
    pub(super) fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Base | Self::Catalog | Self::Token => None,
            Self::Tags(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Referrers(name, _)
            | Self::Signatures(name, _) => Some(name),
        }
    }

    /// The methods that it knows, as `Allow` lists them (RFC 9110, section 10.2.1).
    pub(super) const fn methods(&self) -> &'static str {
        match self {
            Self::Base
            | Self::Catalog
            | Self::Token
            | Self::Tags(_)
            | Self::Referrers(..)
            | Self::Signatures(..) => "GET, HEAD",
            Self::Manifest(..) => "GET, HEAD, PUT, DELETE",
            Self::Blob(..) => "GET, HEAD, DELETE",
            Self::Uploads(_) => "POST",
            Self::Upload(..) => "GET, HEAD, PATCH, PUT, DELETE",
        }
    }

    /// Reads the part of a path that follows `/extensions/v2/`, percent-encoded as it came.
    pub(super) fn parse_extension(below: &str) -> Result<Self, RegistryError> {
        let decoded = decoded(below)?;
        let segments: Vec<&str> = decoded.split('/').collect();
        match *segments.as_slice() {
            [ref name @ .., "signatures", digest] => {
                let digest = digest.parse().map_err(|error| bad_digest(&error))?;
                Ok(Self::Signatures(repository(name)?, digest))
            }
            _ => Err(unknown("There is no such endpoint")),
        }
    }

    /// Reads the part of a path that follows `/v2/`, percent-encoded as it came.
    pub(super) fn parse(below: &str) -> Result<Self, RegistryError> {
        let decoded = decoded(below)?;
        let path = decoded.strip_suffix('/').unwrap_or(&decoded);
        match path {
            "" => return Ok(Self::Base),
            "_catalog" => return Ok(Self::Catalog),
            "_token" => return Ok(Self::Token),
            _ => {}
        }
        let segments: Vec<&str> = path.split('/').collect();
        match *segments.as_slice() {
            [ref name @ .., "tags", "list"] => Ok(Self::Tags(repository(name)?)),
            [ref name @ .., "manifests", reference] => {
                let reference = reference.parse().map_err(|error| bad_reference(&error))?;
                Ok(Self::Manifest(repository(name)?, reference))
            }
            [ref name @ .., "blobs", "uploads"] => Ok(Self::Uploads(repository(name)?)),
            [ref name @ .., "blobs", "uploads", upload] => {
                Ok(Self::Upload(repository(name)?, upload.into()))
            }
            [ref name @ .., "blobs", digest] => {
                let digest = digest.parse().map_err(|error| bad_digest(&error))?;
                Ok(Self::Blob(repository(name)?, digest))
            }
            [ref name @ .., "referrers", digest] => {
                let digest = digest.parse().map_err(|error| bad_digest(&error))?;
                Ok(Self::Referrers(repository(name)?, digest))
            }
            _ => Err(unknown("There is no such endpoint")),
        }
    }
}

fn decoded(path: &str) -> Result<Cow<'_, str>, RegistryError> {
    percent_decode_str(path).decode_utf8().map_err(|_| unknown("The path is not UTF-8"))
}

fn repository(segments: &[&str]) -> Result<RepositoryName, RegistryError> {
    let name = segments.join("/");
    name.parse().map_err(|error: ReferenceError| {
        RegistryError::new(ErrorCode::NameInvalid, error.to_string())
    })
}

fn bad_reference(error: &ReferenceError) -> RegistryError {
    match error {
        ReferenceError::Digest(error) => bad_digest(error),
        other => RegistryError::new(ErrorCode::ManifestInvalid, other.to_string()),
    }
}

pub(super) fn bad_digest(error: &DigestError) -> RegistryError {
    RegistryError::new(ErrorCode::DigestInvalid, error.to_string())
}

fn unknown(message: &str) -> RegistryError {
    RegistryError::new(ErrorCode::NameUnknown, message)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn names_may_hold_the_words_of_the_endpoints() {
        let name = |text: &str| text.parse::<RepositoryName>().expect(text);
        let digest = Digest::sha256(b"");
        let cases = [
            (String::new(), Endpoint::Base),
            ("_catalog".into(), Endpoint::Catalog),
            ("_token".into(), Endpoint::Token),
            ("tags/tags/list".into(), Endpoint::Tags(name("tags"))),
            (
                "a/blobs/b/manifests/v1".into(),
                Endpoint::Manifest(name("a/blobs/b"), "v1".parse().expect("valid")),
            ),
            (format!("a/blobs/{digest}"), Endpoint::Blob(name("a"), digest)),
            (
                format!("a/blobs/{}", digest.to_string().replace(':', "%3A")),
                Endpoint::Blob(name("a"), digest),
            ),
            ("a/b/blobs/uploads/".into(), Endpoint::Uploads(name("a/b"))),
            ("a/blobs/uploads/x".into(), Endpoint::Upload(name("a"), "x".into())),
            (format!("a/referrers/{digest}"), Endpoint::Referrers(name("a"), digest)),
        ];
        for (path, endpoint) in cases {
            assert_eq!(Endpoint::parse(&path).expect(&path), endpoint, "{path}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_an_error_of_the_client() {
        for (path, status) in [
            ("a", StatusCode::NOT_FOUND),
            ("tags/list", StatusCode::BAD_REQUEST),
            ("A/tags/list", StatusCode::BAD_REQUEST),
            ("../x/tags/list", StatusCode::BAD_REQUEST),
            ("a/manifests/sha256:baddigeststring", StatusCode::BAD_REQUEST),
            ("a/manifests/.x", StatusCode::BAD_REQUEST),
            ("a/blobs/x", StatusCode::BAD_REQUEST),
            ("%ff", StatusCode::NOT_FOUND),
        ] {
            assert_eq!(Endpoint::parse(path).expect_err(path).status(), status, "{path}");
        }
    }

    #[test]
    fn extensions_are_signatures_alone() {
        let digest = Digest::sha256(b"");
        let signatures = Endpoint::parse_extension(&format!("a/b/signatures/{digest}"));
        let name = "a/b".parse().expect("valid");
        assert_eq!(signatures.expect("parsed"), Endpoint::Signatures(name, digest));
        for (path, status) in
            [("a/tags/list", StatusCode::NOT_FOUND), ("a/signatures/x", StatusCode::BAD_REQUEST)]
        {
            assert_eq!(Endpoint::parse_extension(path).expect_err(path).status(), status);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_makes_the_parser_panic(path in "\\PC{0,60}") {
            let _ = Endpoint::parse(&path);
            let _ = Endpoint::parse_extension(&path);
        }
    }
}
