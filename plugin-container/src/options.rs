//! What container repositories add to a remote's and a repository's options: flags, YAML keys and
//! stored JSON in one.

use clap::{ArgAction, Args};
use pulp_models::RemoteUrl;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    digest::Digest,
    filter::{PlatformFilter, TagFilter, TagPattern},
    manifest::{self, Platform},
    pull_through::RepositoryGlob,
    reference::{RepositoryName, Tag},
};

/// Options of a remote: which repository of the registry, and what of it.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
pub struct ContainerRemoteOptions {
    /// Repository in the upstream registry; what follows the host if it is left out, as in
    /// `pulp mirror container docker.io/library/debian`
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_name: Option<RepositoryName>,
    /// Only tags that match: a glob, `regex:EXPRESSION` or `semver:RANGE` (repeatable)
    #[arg(long, value_name = "PATTERN")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include_tags: Vec<TagPattern>,
    /// No tags that match; wins over `--include-tags` (repeatable)
    #[arg(long, value_name = "PATTERN")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_tags: Vec<TagPattern>,
    /// Of the tags that are left, only this many of the highest versions
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_tags: Option<usize>,
    /// Only this tag, without asking upstream for its list of tags (repeatable)
    #[arg(long = "tag", value_name = "TAG")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exact_tags: Vec<Tag>,
    /// Also this manifest, whatever its tags (repeatable)
    #[arg(long = "digest", value_name = "DIGEST")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<Digest>,
    /// Of indexes, only images for this platform, as in `linux/arm64/v8` (repeatable)
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]")]
    #[serde(with = "platform_texts", skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// Also layers that are not meant to be redistributed
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub include_foreign_layers: bool,
    /// Also the manifests that refer to mirrored ones, tagged or not, and those that refer to them:
    /// one more request per manifest in every sync
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub referrers: bool,
    /// Also signatures that the registry keeps beside manifests (`X-Registry-Supports-Signatures`), or
    /// that an exported layout has: one more request per manifest in every sync
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub signatures: bool,
    /// Also signatures from this web server, as `containers-registries.d` names it: its files are
    /// `URL/NAME@sha256=HEX/signature-1` and so on
    #[arg(long, value_name = "URL", value_parser = parse_sigstore)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigstore: Option<Url>,
    /// Only images that are signed: there, or, without such a place, by cosign or notation. No
    /// signature is verified, as that takes keys
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub signed_only: bool,
    /// Largest manifest in bytes [default: 4194304]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_manifest_size: Option<usize>,
    /// A `config.json` of Docker or podman to take credentials from, where the remote has none
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_config: Option<std::path::PathBuf>,
}

/// Options of a repository.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerRepositoryOptions {
    /// Users may push to it: those that `--push-user` names, every one if none is named
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", default_value = "false", hide_default_value = true)]
    #[arg(action = ArgAction::Set)]
    pub push: bool,
    /// User who may push to it (repeatable)
    #[arg(long = "push-user", value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub push_users: Vec<String>,
    /// ANYBODY who reaches the server may push to it and delete from it, without a password
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", default_value = "false", hide_default_value = true)]
    #[arg(action = ArgAction::Set)]
    pub anonymous_push: bool,
    /// Only users may pull from it: those that `--pull-user` and `--push-user` name, every one if
    /// none is named
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", default_value = "false", hide_default_value = true)]
    #[arg(action = ArgAction::Set)]
    pub private: bool,
    /// User who may pull from it; nobody else may then but those who push (repeatable)
    #[arg(long = "pull-user", value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pull_users: Vec<String>,
    /// Fetch what clients ask for below its distribution from this remote, when they first ask:
    /// `HOST/BASE-PATH/library/debian:12` is `library/debian:12` of the remote
    #[arg(long, value_name = "REMOTE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_through: Option<String>,
    /// Upstream repository that may be fetched so: a glob, as in `library/*`; `**` is every one
    /// [default: none] (repeatable)
    #[arg(long = "pull-through-repository", value_name = "GLOB")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pull_through_repositories: Vec<RepositoryGlob>,
    /// Seconds for which a tag is served without asking upstream whether it moved [default: 300]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_through_max_age: Option<u64>,
    /// Most upstream repositories that are kept, so that nobody fills the disk by asking for one
    /// after the other [default: 1000]
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_through_limit: Option<usize>,
}

impl ContainerRemoteOptions {
    /// The filter for tags.
    pub fn tags(&self) -> TagFilter<'_> {
        TagFilter {
            include: &self.include_tags,
            exclude: &self.exclude_tags,
            newest: self.newest_tags,
        }
    }

    /// The filter for the children of indexes.
    pub fn platforms(&self) -> PlatformFilter<'_> {
        PlatformFilter(&self.platforms)
    }

    /// Whether more is asked for with each manifest, which may change while no tag does.
    pub fn follows_manifests(&self) -> bool {
        self.referrers || self.signatures || self.sigstore.is_some() || self.signed_only
    }

    /// See the field.
    pub fn max_manifest_size(&self) -> usize {
        self.max_manifest_size.unwrap_or(manifest::DEFAULT_MAX_SIZE)
    }
}

fn parse_sigstore(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error: url::ParseError| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("scheme `{other}` is neither `http` nor `https`")),
    }
}

/// What one URL of a registry is, without what follows `/v2`: people give either. A layout may lie
/// in a folder of any name.
pub(crate) fn registry_base(url: &RemoteUrl) -> Url {
    let mut base = url.expose().clone();
    let path = base.path().trim_end_matches('/');
    let is_file = base.scheme() == "file";
    let path = path.strip_suffix("/v2").filter(|_| !is_file).unwrap_or(path).to_owned();
    base.set_path(&path);
    base.set_query(None);
    base.set_fragment(None);
    base
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Platforms as `os/architecture/variant`.
mod platform_texts {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::manifest::Platform;

    pub(super) fn serialize<S: Serializer>(
        platforms: &[Platform],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(platforms.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Platform>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_yaml_and_stored_json_are_one_thing() {
        let command = ContainerRemoteOptions::augment_args(clap::Command::new("x"));
        let matches = command.get_matches_from([
            "x",
            "--upstream-name=lab/many",
            "--include-tags=v*",
            "--include-tags=semver:>=1",
            "--platform=linux/arm/v7",
            "--signed-only",
            "--sigstore=https://host/sigs",
        ]);
        let options = <ContainerRemoteOptions as clap::FromArgMatches>::from_arg_matches(&matches)
            .expect("valid");
        let json = serde_json::to_string(&options).expect("serialises");
        insta::assert_snapshot!(json, @r#"{"upstream_name":"lab/many","include_tags":["v*","semver:>=1"],"platforms":["linux/arm/v7"],"sigstore":"https://host/sigs","signed_only":true}"#);
        let back: ContainerRemoteOptions = serde_json::from_str(&json).expect("round trip");
        assert_eq!(back, options);
        assert_eq!(
            serde_json::from_str::<ContainerRemoteOptions>("{}").expect("empty"),
            ContainerRemoteOptions::default()
        );
    }

    #[test]
    fn rights_are_given_and_taken_by_flags() {
        let update = |flags: &[&str], stored: &serde_json::Value| {
            let command = clap::Command::new("x").no_binary_name(true);
            let command = ContainerRepositoryOptions::augment_args(command);
            let matches = command.get_matches_from(flags);
            pulp_stages::options::overlay::<ContainerRepositoryOptions>(&matches, stored)
                .expect("valid")
        };
        let open = update(&["--anonymous-push", "--private"], &serde_json::json!({}));
        let closed = update(&["--anonymous-push=false", "--push"], &open);
        let options: ContainerRepositoryOptions =
            serde_json::from_value(closed).expect("round trip");
        let expected = ContainerRepositoryOptions {
            push: true,
            private: true,
            ..ContainerRepositoryOptions::default()
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn a_registry_may_be_named_with_or_without_v2() {
        for (given, expected) in [
            ("http://h:5000", "http://h:5000/"),
            ("http://h:5000/v2/", "http://h:5000/"),
            ("https://h/a/v2?x#y", "https://h/a"),
            ("file:///srv/app/v2/", "file:///srv/app/v2"),
        ] {
            let url = given.parse().expect("valid");
            assert_eq!(registry_base(&url).as_str(), expected);
        }
    }
}
