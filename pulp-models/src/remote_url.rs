//! URLs that may hold credentials and therefore never print them.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use url::Url;

/// A URL whose `Display` and `Debug` hide user name, password and query. Serde keeps all of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "Url")]
pub struct RemoteUrl(Url);

/// A text that is no absolute `http`, `https` or `file` URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid URL: {0}")]
pub struct InvalidUrl(String);

impl InvalidUrl {
    /// For the other kinds of URL in this crate; `reason` must not hold the URL itself.
    pub(crate) fn new(reason: String) -> Self {
        Self(reason)
    }
}

impl RemoteUrl {
    /// The URL with everything in it, for the request itself.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// Takes user name and password out of the URL, decoded.
    pub(crate) fn take_credentials(&mut self) -> Option<(String, Option<String>)> {
        if self.0.username().is_empty() && self.0.password().is_none() {
            return None;
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (username, password) = (decoded(self.0.username()), self.0.password().map(decoded));
        // Neither fails on a URL that has credentials, and so a host.
        let _ = self.0.set_username("");
        let _ = self.0.set_password(None);
        Some((username, password))
    }

    /// Takes an already parsed URL.
    pub fn from_url(url: Url) -> Self {
        Self(url)
    }

    /// Appends `path` below this URL taken as a directory, percent-encoding what needs it
    /// (RFC 3986 path characters stay); the query is kept.
    #[must_use]
    pub fn join_path(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            segments.extend(path.split('/'));
        }
        Self(url)
    }

    /// The directory that holds this URL's last segment, as a URL that ends in `/`; query kept.
    #[must_use]
    pub fn parent(&self) -> Self {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().push("");
        }
        Self(url)
    }
}

impl FromStr for RemoteUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => {
                InvalidUrl("it begins with none of `https://`, `http://` and `file://`".to_owned())
            }
            other => InvalidUrl(other.to_string()),
        })?;
        match url.scheme() {
            "http" | "https" | "file" => Ok(Self(url)),
            other => {
                Err(InvalidUrl(format!("scheme `{other}` is none of `http`, `https`, `file`")))
            }
        }
    }
}

impl TryFrom<String> for RemoteUrl {
    type Error = InvalidUrl;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RemoteUrl> for Url {
    fn from(url: RemoteUrl) -> Self {
        url.0
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean =
            self.0.username().is_empty() && self.0.password().is_none() && self.0.query().is_none();
        if clean {
            return f.write_str(self.0.as_str());
        }
        let mut url = self.0.clone();
        // Neither fails on a URL that has a host; one without holds no credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        if url.query().is_some() {
            // Dots that need no percent-encoding.
            url.set_query(Some("..."));
        }
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_printed() {
        let url: RemoteUrl = "http://me:secret@host/a?token=x".parse().expect("valid");
        assert!(!format!("{url} {url:?}").contains("secret"));
        assert!(!format!("{url} {url:?}").contains("token"));
    }

    #[test]
    fn what_is_no_url_is_refused_from_wherever_it_comes() {
        for text in ["example.org/a", "ftp://host/", "localhost:5000/a", ""] {
            let error = text.parse::<RemoteUrl>().expect_err(text).to_string();
            assert!(error.contains("`https`") || error.contains("`https://`"), "{error}");
            let read = serde_json::from_value::<RemoteUrl>(text.into());
            assert_eq!(read.expect_err(text).to_string(), error);
        }
        let url: RemoteUrl = "http://me:secret@host/a?b".parse().expect("valid");
        let json = serde_json::to_value(&url).expect("serialises");
        assert_eq!(json, "http://me:secret@host/a?b");
        assert_eq!(serde_json::from_value::<RemoteUrl>(json).expect("round trip"), url);
    }

    #[test]
    fn credentials_are_taken_out_decoded() {
        let mut url: RemoteUrl = "http://me%40home:p%3Aw@host/a?b=c".parse().expect("valid");
        let taken = url.take_credentials();
        assert_eq!(taken, Some(("me@home".to_owned(), Some("p:w".to_owned()))));
        assert_eq!(url.expose().as_str(), "http://host/a?b=c");
        assert_eq!(url.take_credentials(), None);
    }

    #[test]
    fn paths_are_joined_and_encoded() {
        let url: RemoteUrl = "http://host/dir/PULP_MANIFEST?sig=1".parse().expect("valid");
        let file = url.parent().join_path("a b/c%d#é,f");
        assert_eq!(file.expose().as_str(), "http://host/dir/a%20b/c%25d%23%C3%A9,f?sig=1");
    }
}
