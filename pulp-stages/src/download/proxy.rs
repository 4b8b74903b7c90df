//! Which proxy a remote's requests take: the remote's own, or what the environment says.

use pulp_models::RemoteSettings;
use reqwest::{NoProxy, Proxy};

use super::{client::SettingsError, error::Cause};

/// The proxies, most specific first. `environment` looks up a variable; it is only asked when the
/// settings name no proxy. As with curl, lower-case names win, and an empty value is none.
pub(super) fn of(
    settings: &RemoteSettings,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Proxy>, SettingsError> {
    let Some(url) = &settings.proxy_url else {
        return from_environment(environment);
    };
    let mut proxy = Proxy::all(url.expose().clone())
        .map_err(|error| SettingsError::new("proxy_url", Cause::innermost(&error).to_string()))?;
    if let Some(username) = &settings.proxy_username {
        let password = settings.proxy_password.as_ref().map_or("", |password| password.expose());
        proxy = proxy.basic_auth(username, password);
    }
    Ok(vec![proxy])
}

/// For which schemes a proxy is.
type Make = fn(String) -> reqwest::Result<Proxy>;

fn from_environment(
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Proxy>, SettingsError> {
    let look_up = |name: &str| {
        environment(name)
            .or_else(|| environment(&name.to_ascii_uppercase()))
            .filter(|value| !value.trim().is_empty())
    };
    let no_proxy = look_up("no_proxy").and_then(|list| NoProxy::from_string(&list));
    let kinds: [(&str, Make); 3] = [
        ("http_proxy", |url| Proxy::http(url)),
        ("https_proxy", |url| Proxy::https(url)),
        ("all_proxy", |url| Proxy::all(url)),
    ];
    let mut proxies = Vec::new();
    for (name, make) in kinds {
        if let Some(value) = look_up(name) {
            let proxy = make(value)
                .map_err(|error| SettingsError::new(name, Cause::innermost(&error).to_string()))?;
            proxies.push(proxy.no_proxy(no_proxy.clone()));
        }
    }
    Ok(proxies)
}
