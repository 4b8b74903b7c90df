//! How a remote is reached: credentials, certificates, proxy, limits and timeouts.
//!
//! This is the part of a remote's row that every repository type shares; it is stored as JSON. It knows
//! no HTTP client (the downloader in `pulp-stages` reads it), no command line, and not *what* is
//! fetched or when: download policy belongs to the remote itself.
//!
//! An absent option means "the default", whatever the default of the running version is; the accessor
//! methods apply it. Zero is always a value, never another way to say "absent".

mod on_broken;

use std::{
    fmt,
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use url::Url;

pub use self::on_broken::{InvalidOnBroken, OnBroken};
use crate::remote_url::{InvalidUrl, RemoteUrl};

/// Everything about reaching a remote except its URL.
///
/// Serialises with its secrets: it goes into the database, never into an answer or a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteSettings {
    /// User name for basic authentication, sent to the remote's own origin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password for basic authentication; a user name without one has the empty password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Headers sent with every request to the remote's own origin, in this order; a name may
    /// repeat. A `User-Agent` here replaces ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// What is appended to our `User-Agent`, as in `mirror-team/1.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,

    /// Certificates to trust (PEM, one or more) besides the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<String>,
    /// Our certificate chain (PEM, leaf first), shown to the remote's own origin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<String>,
    /// The private key of [`client_cert`](Self::client_cert) (PEM: PKCS#8, PKCS#1 or SEC1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<Secret>,
    /// Whether servers must prove who they are. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_validation: Option<bool>,

    /// The proxy for every request. Default: what `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and
    /// `NO_PROXY` say; with a proxy here, none of them counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<ProxyUrl>,
    /// User name for the proxy, in place of one in its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_username: Option<String>,
    /// Password for the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_password: Option<Secret>,

    /// Requests in flight at once. Default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_concurrency: Option<NonZeroU32>,
    /// Further attempts per URL after the first; 0 means none. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// How long the first retry waits, half of it at random; each further one waits twice as long, up
    /// to 60 times this. Seconds. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none", with = "seconds")]
    pub retry_delay: Option<Duration>,
    /// Longest `Retry-After` that is obeyed; an upstream that asks for more fails the download.
    /// Seconds. Default: 300.
    #[serde(skip_serializing_if = "Option::is_none", with = "seconds")]
    pub retry_after_limit: Option<Duration>,
    /// Requests per second, retries and redirects included. Default: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<NonZeroU32>,
    /// Bytes of bodies per second, over all requests. Default: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<NonZeroU64>,

    /// Until a connection stands, TLS included. Seconds. Default: 30.
    #[serde(skip_serializing_if = "Option::is_none", with = "seconds")]
    pub connect_timeout: Option<Duration>,
    /// Longest silence, before the answer's head or inside its body; there is no limit on a whole
    /// transfer. Seconds. Default: 60.
    #[serde(skip_serializing_if = "Option::is_none", with = "seconds")]
    pub idle_timeout: Option<Duration>,
    /// A body slower than this, on average over [`minimum_rate_window`](Self::minimum_rate_window),
    /// is broken off. Bytes per second; 0 switches the check off. Default: 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_rate: Option<u64>,
    /// Over how long [`minimum_rate`](Self::minimum_rate) is measured. Seconds. Default: 300.
    #[serde(skip_serializing_if = "Option::is_none", with = "seconds")]
    pub minimum_rate_window: Option<Duration>,

    /// What a sync does about files that upstream lists but doesn't give as they should be.
    /// Default: [`OnBroken::Fail`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_broken: Option<OnBroken>,

    /// Folders from which `file://` URLs may be read, symbolic links resolved. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_file_paths: Vec<PathBuf>,
}

impl RemoteSettings {
    /// Takes user name and password out of `url`, where they would be copied to the URL of every
    /// file, into these settings, where they are kept as secrets; those of the URL win.
    pub fn take_credentials(&mut self, url: &mut RemoteUrl) {
        if let Some((username, password)) = url.take_credentials() {
            self.username = Some(username);
            self.password = password.map(Secret::new);
        }
    }

    /// See [`tls_validation`](Self::tls_validation).
    pub fn tls_validation(&self) -> bool {
        self.tls_validation.unwrap_or(true)
    }

    /// See [`download_concurrency`](Self::download_concurrency).
    pub fn download_concurrency(&self) -> u32 {
        self.download_concurrency.map_or(10, NonZeroU32::get)
    }

    /// See [`max_retries`](Self::max_retries).
    pub fn max_retries(&self) -> u32 {
        self.max_retries.unwrap_or(3)
    }

    /// See [`retry_delay`](Self::retry_delay).
    pub fn retry_delay(&self) -> Duration {
        self.retry_delay.unwrap_or(Duration::from_secs(1))
    }

    /// See [`connect_timeout`](Self::connect_timeout).
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or(Duration::from_secs(30))
    }

    /// See [`idle_timeout`](Self::idle_timeout).
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout.unwrap_or(Duration::from_secs(60))
    }

    /// See [`minimum_rate`](Self::minimum_rate).
    pub fn minimum_rate(&self) -> u64 {
        self.minimum_rate.unwrap_or(1024)
    }

    /// See [`minimum_rate_window`](Self::minimum_rate_window).
    pub fn minimum_rate_window(&self) -> Duration {
        self.minimum_rate_window.unwrap_or(Duration::from_secs(300))
    }

    /// See [`on_broken`](Self::on_broken).
    pub fn on_broken(&self) -> OnBroken {
        self.on_broken.unwrap_or_default()
    }

    /// See [`retry_after_limit`](Self::retry_after_limit).
    pub fn retry_after_limit(&self) -> Duration {
        self.retry_after_limit.unwrap_or(Duration::from_secs(300))
    }
}

/// A text that is never printed: `Debug` and `Display` show `…`. Serde keeps it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for where it is needed.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One request header. The value is a secret, since it is often a token. Whether both are what HTTP
/// allows is checked when a downloader is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The field name, of either case.
    pub name: String,
    /// The field value.
    pub value: Secret,
}

impl Header {
    /// A header from its two texts.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: Secret::new(value) }
    }
}

/// The URL of a proxy: `http`, `https`, `socks5` (names resolved here) or `socks5h` (resolved
/// there). It may hold credentials and, like [`RemoteUrl`], does not print them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Url", into = "Url")]
pub struct ProxyUrl(RemoteUrl);

impl ProxyUrl {
    /// The URL with everything in it.
    pub fn expose(&self) -> &Url {
        self.0.expose()
    }
}

impl TryFrom<Url> for ProxyUrl {
    type Error = InvalidUrl;

    fn try_from(url: Url) -> Result<Self, Self::Error> {
        match url.scheme() {
            "http" | "https" | "socks5" | "socks5h" => Ok(Self(RemoteUrl::from_url(url))),
            other => Err(InvalidUrl::new(format!(
                "scheme `{other}` is none of `http`, `https`, `socks5`, `socks5h`"
            ))),
        }
    }
}

impl FromStr for ProxyUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Url::parse(text).map_err(|error| InvalidUrl::new(error.to_string()))?.try_into()
    }
}

impl From<ProxyUrl> for Url {
    fn from(proxy: ProxyUrl) -> Self {
        proxy.0.expose().clone()
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

/// Durations as seconds, a whole or a decimal number.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            None => serializer.serialize_none(),
            Some(duration) if duration.subsec_nanos() == 0 => {
                serializer.serialize_u64(duration.as_secs())
            }
            Some(duration) => serializer.serialize_f64(duration.as_secs_f64()),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        seconds.map(|s| Duration::try_from_secs_f64(s).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_secrets() -> RemoteSettings {
        RemoteSettings {
            username: Some("me".into()),
            password: Some("hunter2".into()),
            headers: vec![Header::new("X-Token", "hunter2")],
            client_key: Some("hunter2".into()),
            proxy_url: Some("http://me:hunter2@proxy:3128".parse().expect("valid")),
            proxy_password: Some("hunter2".into()),
            idle_timeout: Some(Duration::from_millis(250)),
            max_retries: Some(0),
            ..RemoteSettings::default()
        }
    }

    #[test]
    fn secrets_are_stored_but_never_printed() {
        let settings = with_secrets();
        assert!(!format!("{settings:?}").contains("hunter2"));
        let stored = serde_json::to_string(&settings).expect("serialises");
        assert_eq!(stored.matches("hunter2").count(), 5);
        assert_eq!(serde_json::from_str::<RemoteSettings>(&stored).expect("round trip"), settings);
    }

    #[test]
    fn nothing_given_is_nothing_stored_and_means_the_defaults() {
        let settings = RemoteSettings::default();
        assert_eq!(serde_json::to_string(&settings).expect("serialises"), "{}");
        assert_eq!(settings.download_concurrency(), 10);
        assert_eq!(settings.max_retries(), 3);
        assert!(settings.tls_validation());
        assert_eq!(settings.minimum_rate(), 1024);
    }

    #[test]
    fn zero_retries_are_zero_and_zero_concurrency_is_refused() {
        assert_eq!(with_secrets().max_retries(), 0);
        assert!(serde_json::from_str::<RemoteSettings>(r#"{"download_concurrency":0}"#).is_err());
        assert!(serde_json::from_str::<RemoteSettings>(r#"{"no_such_option":1}"#).is_err());
    }

    #[test]
    fn durations_are_seconds_and_never_negative() {
        let read = |text: &str| serde_json::from_str::<RemoteSettings>(text);
        let settings = read(r#"{"connect_timeout":2,"idle_timeout":0.5}"#).expect("valid");
        assert_eq!(settings.connect_timeout(), Duration::from_secs(2));
        assert_eq!(settings.idle_timeout(), Duration::from_millis(500));
        assert!(read(r#"{"connect_timeout":-1}"#).is_err());
    }

    #[test]
    fn a_proxy_may_be_http_or_socks_and_nothing_else() {
        assert!("socks5h://localhost:1080".parse::<ProxyUrl>().is_ok());
        assert!("ftp://proxy".parse::<ProxyUrl>().is_err());
        assert!(serde_json::from_str::<ProxyUrl>(r#""file:///etc""#).is_err());
    }
}
