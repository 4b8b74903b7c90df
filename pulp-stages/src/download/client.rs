//! The HTTP clients of one remote, and what each request to its origin carries.
//!
//! There are two clients: one shows the remote's client certificate and is used for the remote's own
//! origin; the other does not, and is used for everything a redirect or an index may name. Neither
//! follows redirects, retries statuses or decodes bodies: that is done above, or not at all.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pulp_models::{RemoteSettings, RemoteUrl};
use reqwest::redirect::Policy;
use url::Url;

use super::{proxy, tls};

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("Invalid `{setting}`: {problem}")]
pub struct SettingsError {
    setting: String,
    problem: String,
}

impl SettingsError {
    /// Says which setting and what is wrong with it.
    pub fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { setting: setting.into(), problem: problem.into() }
    }
}

/// Clients and headers, chosen by origin.
#[derive(Debug)]
pub(super) struct Clients {
    home: Url,
    at_home: (reqwest::Client, HeaderMap),
    abroad: (reqwest::Client, HeaderMap),
}

impl Clients {
    /// `environment` looks up a variable of the process.
    pub(super) fn new(
        url: &RemoteUrl,
        settings: &RemoteSettings,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let proxies = proxy::of(settings, environment)?;
        let abroad = build(settings, &proxies, false)?;
        let at_home = if settings.client_cert.is_some() || settings.client_key.is_some() {
            build(settings, &proxies, true)?
        } else {
            abroad.clone()
        };
        let common = common_headers(settings)?;
        let own = own_headers(settings, common.clone())?;
        Ok(Self { home: url.expose().clone(), at_home: (at_home, own), abroad: (abroad, common) })
    }

    /// Whether `url` is at the remote's own origin.
    pub(super) fn is_home(&self, url: &Url) -> bool {
        same_origin(url, &self.home)
    }

    /// The client for `url`, and the headers that every request to it carries.
    pub(super) fn for_url(&self, url: &Url) -> &(reqwest::Client, HeaderMap) {
        if self.is_home(url) { &self.at_home } else { &self.abroad }
    }
}

/// Whether scheme, host and port are the same (RFC 6454), told without allocating.
pub(super) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

fn build(
    settings: &RemoteSettings,
    proxies: &[reqwest::Proxy],
    with_identity: bool,
) -> Result<reqwest::Client, SettingsError> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::config(settings, with_identity)?)
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(settings.connect_timeout())
        .no_proxy();
    for proxy in proxies {
        builder = builder.proxy(proxy.clone());
    }
    builder.build().map_err(|error| SettingsError::new("settings", error.to_string()))
}

/// What every server gets to see.
fn common_headers(settings: &RemoteSettings) -> Result<HeaderMap, SettingsError> {
    let mut agent = format!("pulp/{}", env!("CARGO_PKG_VERSION"));
    if let Some(suffix) = &settings.user_agent {
        agent.push(' ');
        agent.push_str(suffix);
    }
    let agent = HeaderValue::try_from(agent)
        .map_err(|error| SettingsError::new("user_agent", error.to_string()))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, agent);
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    // Digests and sizes are those of the file, not of an encoding of it.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Ok(headers)
}

/// What only the remote's origin gets to see: credentials and custom headers, besides `headers`.
fn own_headers(
    settings: &RemoteSettings,
    mut headers: HeaderMap,
) -> Result<HeaderMap, SettingsError> {
    if let Some(username) = &settings.username {
        let password = settings.password.as_ref().map_or("", |password| password.expose());
        headers.insert(header::AUTHORIZATION, basic(username, password));
    }
    let mut custom = HeaderMap::new();
    for given in &settings.headers {
        let name = HeaderName::try_from(&given.name)
            .map_err(|_| SettingsError::new("headers", format!("`{}` is no name", given.name)))?;
        let mut value = HeaderValue::try_from(given.value.expose()).map_err(|_| {
            SettingsError::new("headers", format!("the value of `{name}` is not allowed in HTTP"))
        })?;
        value.set_sensitive(true);
        custom.append(name, value);
    }
    // Replaces what is there, and keeps names that repeat.
    headers.extend(custom);
    Ok(headers)
}

/// The value of `Authorization` or `Proxy-Authorization` (RFC 7617).
pub(super) fn basic(username: &str, password: &str) -> HeaderValue {
    let encoded = BASE64_STANDARD.encode(format!("{username}:{password}"));
    let mut value =
        HeaderValue::try_from(format!("Basic {encoded}")).expect("base64 is allowed in HTTP");
    value.set_sensitive(true);
    value
}
