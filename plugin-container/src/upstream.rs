//! What people call images: `docker.io/library/debian`, taken apart into a registry and a repository
//! of it.
//!
//! Who also gives `--upstream-name` means the registry's URL, whatever its path. No network here; the
//! grammar of the rest is in `reference`.

use pulp_models::RemoteUrl;
use pulp_stages::plugin::{CommandError, Upstream};
use url::Url;

use crate::{
    options::{ContainerRemoteOptions, registry_base},
    reference::{ReferenceError, RepositoryName},
};

/// What stands before an image's name where other programs take names of other things as well.
const TRANSPORT: &str = "docker://";

/// Reads what a person wrote as the upstream of a mirror.
pub(crate) fn read(
    written: &str,
    options: &ContainerRemoteOptions,
) -> Result<Upstream, CommandError> {
    let (url, completed) = registry(written)?;
    let mut upstream = Upstream::from(url);
    let image = image_of(&upstream.url);
    if upstream.url.expose().scheme() == "file" || options.upstream_name.is_some() {
        upstream.name = options.upstream_name.as_ref().map(ToString::to_string);
    } else if !image.is_empty() {
        let mut root: Url = registry_base(&upstream.url);
        root.set_path("");
        let root = RemoteUrl::from_url(root);
        let name = repository(&image, &root)?;
        let literal = std::mem::replace(&mut upstream.url, root);
        upstream.note = Some(format!("Repository `{name}` of the registry at {}", upstream.url));
        upstream.name = Some(name.to_string());
        upstream.options.insert("upstream_name".to_owned(), name.to_string().into());
        upstream.literal = Some(literal);
    }
    if completed && upstream.note.is_none() {
        upstream.note = Some(format!("The registry at {}", upstream.url));
    }
    Ok(upstream)
}

/// The URL that was written, and whether its beginning had to be made up. Registries are reached by
/// TLS unless somebody says otherwise.
pub(crate) fn registry(written: &str) -> Result<(RemoteUrl, bool), CommandError> {
    let image = match written.strip_prefix(TRANSPORT) {
        None if written.contains("://") => {
            return Ok((Upstream::parse_url(written)?, false));
        }
        image => image.unwrap_or(written),
    };
    if image.starts_with(['/', '.']) {
        return Err(CommandError::Usage(format!(
            "`{image}` is no image: a layout in a folder or archive is named by its URL, as in \
             `file:///srv/layout`"
        )));
    }
    let (host, has_path) = image.split_once('/').map_or((image, false), |(host, _)| (host, true));
    // As Docker tells a host from the first part of a path; without one, `a:1` is an image.
    let is_host =
        host.contains('.') || host.contains(':') && has_path || host.starts_with("localhost");
    if !is_host {
        return Err(CommandError::Usage(format!(
            "`{image}` names no registry: write `docker.io/{image}`, or the name or URL of another one"
        )));
    }
    Ok((Upstream::parse_url(&format!("https://{image}"))?, true))
}

/// What the path of a URL may name: what follows `/v2` in it.
fn image_of(url: &RemoteUrl) -> String {
    let path = url.expose().path().trim_matches('/');
    let path = if path == "v2" { "" } else { path.strip_prefix("v2/").unwrap_or(path) };
    path.strip_suffix("/v2").unwrap_or(path).to_owned()
}

/// The repository that `image` names, or how to write what was meant.
fn repository(image: &str, root: &RemoteUrl) -> Result<RepositoryName, CommandError> {
    let refused = |reason: String| Err(CommandError::Usage(reason));
    if let Some((name, digest)) = image.split_once('@') {
        return refused(format!(
            "`{image}` names a manifest: write `{root}{name} --digest {digest}`"
        ));
    }
    if let Some((name, tag)) = image.rsplit_once(':') {
        return refused(format!("`{image}` names a tag: write `{root}{name} --tag {tag}`"));
    }
    image.parse().or_else(|error: ReferenceError| {
        refused(format!("{error}; `--upstream-name` names the repository beside a registry's URL"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is understood, as `URL | name | note`, or why nothing is.
    fn understood(written: &str, upstream_name: Option<&str>) -> String {
        let upstream_name = upstream_name.map(|name| name.parse().expect("valid"));
        let options = ContainerRemoteOptions { upstream_name, ..ContainerRemoteOptions::default() };
        match read(written, &options) {
            Ok(Upstream { url, options, name, .. }) => {
                let option = options.get("upstream_name").and_then(|name| name.as_str());
                assert!(option.is_none() || option == name.as_deref(), "{option:?} {name:?}");
                format!("{} | {}", url.expose(), name.unwrap_or_default())
            }
            Err(CommandError::Usage(reason)) => reason,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn an_image_is_taken_apart_into_registry_and_repository() {
        for (written, expected) in [
            ("docker.io/library/debian", "https://docker.io/ | library/debian"),
            ("docker://quay.io/podman/hello", "https://quay.io/ | podman/hello"),
            ("localhost:5000/a", "https://localhost:5000/ | a"),
            ("localhost/a", "https://localhost/ | a"),
            ("[::1]:5000/a/b", "https://[::1]:5000/ | a/b"),
            ("http://127.0.0.1:5000/a/b/", "http://127.0.0.1:5000/ | a/b"),
            ("https://me:pw@h/v2/a/b?x", "https://me:pw@h/ | a/b"),
            ("https://h:5000/v2/", "https://h:5000/v2/ | "),
            ("https://h", "https://h/ | "),
            ("quay.io", "https://quay.io/ | "),
            ("file:///srv/layout", "file:///srv/layout | "),
        ] {
            assert_eq!(understood(written, None), expected, "{written}");
        }
    }

    #[test]
    fn beside_a_repository_the_url_is_a_registrys_whatever_its_path() {
        for (written, expected) in [
            ("https://h/prefix", "https://h/prefix | a/b"),
            ("quay.io", "https://quay.io/ | a/b"),
            ("http://h:5000", "http://h:5000/ | a/b"),
        ] {
            assert_eq!(understood(written, Some("a/b")), expected, "{written}");
        }
    }

    #[test]
    fn what_is_no_image_is_refused_with_what_to_write() {
        for (written, expected) in [
            ("debian", "write `docker.io/debian`"),
            ("library/debian", "write `docker.io/library/debian`"),
            ("debian:12", "write `docker.io/debian:12`"),
            ("quay.io/a/b:v1", "write `https://quay.io/a/b --tag v1`"),
            ("http://me:pw@h:5000/a:v1", "write `http://h:5000/a --tag v1`"),
            ("quay.io/a@sha256:00", "write `https://quay.io/a --digest sha256:00`"),
            ("quay.io/A", "expected lower-case letters"),
            ("https://hub.docker.com/_/debian", "`--upstream-name`"),
            ("ftp://quay.io/a", "`https`"),
            ("", "names no registry"),
            ("/srv/layout", "as in `file:///srv/layout`"),
            ("./layout.tar", "as in `file:///srv/layout`"),
        ] {
            let reason = understood(written, None);
            assert!(reason.contains(expected), "{written}: {reason}");
        }
    }

    #[test]
    fn what_was_made_up_is_told() {
        let note = |written: &str, name: Option<&str>| {
            let upstream_name = name.map(|name| name.parse().expect("valid"));
            let options =
                ContainerRemoteOptions { upstream_name, ..ContainerRemoteOptions::default() };
            read(written, &options).expect("understood").note
        };
        let told = note("https://me:secret@h/a/b", None).expect("a note");
        assert_eq!(told, "Repository `a/b` of the registry at https://h/");
        assert_eq!(note("quay.io", Some("a")).expect("a note"), "The registry at https://quay.io/");
        assert_eq!(note("https://quay.io", Some("a")), None);
    }
}
