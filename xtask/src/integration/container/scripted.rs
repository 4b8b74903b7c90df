//! A registry that misbehaves as told: what the reference implementation cannot be made to do.
//!
//! Manifests, blobs and tags of one repository are in memory; every answer can be replaced, for
//! good or for the next request only, and every request is logged. It knows URLs and headers of the
//! distribution specification, and nothing of what manifests say.

mod content;
mod faults;
mod lists;
mod served;
mod signatures;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use self::served::Served;
use super::{Case, Lab, NAME, UPSTREAM_NAME, mirror_from};
use crate::{
    integration::case,
    pulp::{Mirrored, digest_of, sha256},
    server::{Answer, Request, Server, Service, lock},
};

pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Every case of a registry that is no ordinary one.
pub(super) fn cases() -> Vec<Case> {
    vec![
        case("tags are listed in pages, by relative and absolute links", lists::pages),
        case("a list of tags that leads back to itself is refused", lists::endless),
        case("a registry without tags is empty, one with nonsense is refused", lists::no_tags),
        case("a registry without HEAD or digests is asked by GET", lists::no_head),
        case("a digest that is not the content's is never believed", lists::wrong_digests),
        case("vanished and broken tags fail the sync or are left out whole", lists::vanished),
        case("tokens are renewed when they run out in the middle", faults::tokens),
        case("a password is not sent to another token server", faults::foreign_realm),
        case("a registry that asks for time gets it", faults::throttled),
        case("a blob that breaks off is resumed by range", faults::truncated),
        case("a corrupt layer is never stored and never served", faults::corrupt),
        case("a missing layer fails the sync by its name", faults::missing_layer),
        case("every kind of manifest is kept byte for byte", content::every_kind),
        case("a signed manifest of schema 1 is known by what is signed", content::signed_schema1),
        case("foreign layers come only if asked for", content::foreign),
        case("of an index only the wanted platforms come", content::platforms),
        case("referrers come untagged, and what refers to them", content::referrers),
        case("referrers cost a request per manifest, or one where there are none", content::budget),
        case("cosign's tags come with what they describe", content::companions),
        case("signatures come from beside manifests, and are served there", signatures::beside),
        case("signatures cross an air gap in a layout", signatures::exported),
        case("what is no signature is told and left out", signatures::no_signatures),
        case("of attached signatures, only what is signed comes", signatures::attached),
        case("what upstream lacks can be left out, or left for later", faults::tolerated),
    ]
}

/// Mirrors `registry`, successfully.
fn mirror(lab: &Lab, registry: &Scripted, more: &[&str]) -> Result<Mirrored> {
    mirror_from(&lab.pulp, registry.address(), more)
}

/// Mirrors `registry` in vain: upstream is to blame, all of `told` is said, and nothing of it is
/// visible that was not before.
fn refused(lab: &Lab, registry: &Scripted, more: &[&str], told: &[&str]) -> Result<()> {
    let before = lab.pulp.versions("container", NAME)?;
    let arguments = super::mirroring(registry.address(), more);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (code, said) = lab.pulp.run_failing(&arguments)?;
    for text in told {
        ensure!(said.contains(text), "`{text}` is not said:\n{said}");
    }
    ensure!(code == 3, "Exit code {code}, not that of a bad upstream:\n{said}");
    let after = lab.pulp.versions("container", NAME)?;
    ensure!(before == after, "The versions were {before:?}, they are {after:?}");
    lab.pulp.has_no_temporary_files()
}

/// A running registry; ends when dropped.
pub(super) struct Scripted {
    server: Server,
    script: Arc<Mutex<Script>>,
}

/// Decides before everything else, e.g. whether a request is authorised.
type Guard = Box<dyn FnMut(&Request) -> Option<Answer> + Send>;

#[derive(Default)]
struct Script {
    /// By path: what the registry has.
    files: BTreeMap<String, File>,
    tags: Vec<String>,
    /// By method and path with its query: what is answered instead, for good.
    always: HashMap<String, Answer>,
    /// The same, one after the other, before all else.
    next: HashMap<String, VecDeque<Answer>>,
    guard: Option<Guard>,
    log: Vec<String>,
}

/// A manifest or a blob.
#[derive(Clone)]
struct File {
    kind: String,
    bytes: Arc<[u8]>,
}

impl Scripted {
    /// Starts one without content.
    pub(super) fn start() -> Result<Self> {
        let script = Arc::new(Mutex::new(Script::default()));
        Ok(Self { server: Server::start(Arc::new(Scribe(Arc::clone(&script))))?, script })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Adds a blob; gives its descriptor.
    pub(super) fn blob(&self, kind: &str, bytes: &[u8]) -> Value {
        let descriptor = descriptor(kind, bytes);
        let path = path(&format!("blobs/{}", digest_of("sha256", bytes)));
        let file = File { kind: "application/octet-stream".to_owned(), bytes: bytes.into() };
        lock(&self.script).files.insert(path, file);
        descriptor
    }

    /// Adds a manifest, to be found by its digest; gives its descriptor.
    pub(super) fn manifest(&self, kind: &str, body: &str) -> Value {
        self.manifest_as(&digest_of("sha256", body.as_bytes()), kind, body);
        descriptor(kind, body.as_bytes())
    }

    /// Adds a manifest, to be found by its digest and by a tag that is listed.
    pub(super) fn tag(&self, tag: &str, kind: &str, body: &str) -> Value {
        self.manifest_as(tag, kind, body);
        let mut script = lock(&self.script);
        script.tags.retain(|listed| listed != tag);
        script.tags.push(tag.to_owned());
        drop(script);
        self.manifest(kind, body)
    }

    /// Adds a manifest under any name.
    pub(super) fn manifest_as(&self, reference: &str, kind: &str, body: &str) {
        let file = File { kind: kind.to_owned(), bytes: body.as_bytes().into() };
        lock(&self.script).files.insert(path(&format!("manifests/{reference}")), file);
    }

    /// Adds an image with a configuration and a layer of its own; gives its manifest.
    pub(super) fn image(&self, seed: &str) -> String {
        let labels = json!({ "config": { "Labels": { "seed": seed } } });
        let mut config = json!({ "architecture": "amd64", "os": "linux" });
        config["config"] = labels["config"].clone();
        let config = self.blob(CONFIG, config.to_string().as_bytes());
        let layer = self.blob(LAYER, format!("layer {seed}").as_bytes());
        image_of(&config, &[layer]).to_string()
    }

    /// The next answer to this request is another one, after those planned before.
    pub(super) fn once(&self, request: &str, answer: Answer) {
        lock(&self.script).next.entry(request.to_owned()).or_default().push_back(answer);
    }

    /// Every answer to this request is another one from now on.
    pub(super) fn always(&self, request: &str, answer: Answer) {
        lock(&self.script).always.insert(request.to_owned(), answer);
    }

    /// Forgets a manifest or blob, by what stands below the repository's name.
    pub(super) fn remove(&self, below: &str) {
        lock(&self.script).files.remove(&path(below));
    }

    /// Asks `guard` first from now on.
    pub(super) fn guard(&self, guard: impl FnMut(&Request) -> Option<Answer> + Send + 'static) {
        lock(&self.script).guard = Some(Box::new(guard));
    }

    /// The requests since the last call, as `METHOD path?query`, without `/v2/` and the
    /// repository's name.
    pub(super) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.script).log)
    }
}

/// The path of what stands below the repository's name.
pub(super) fn path(below: &str) -> String {
    format!("/v2/{UPSTREAM_NAME}/{below}")
}

pub(super) fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": digest_of("sha256", bytes), "size": bytes.len() })
}

/// An OCI image manifest.
pub(super) fn image_of(config: &Value, layers: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers })
}

/// An OCI index.
pub(super) fn index_of(children: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children })
}

/// The script, as the server asks it.
struct Scribe(Arc<Mutex<Script>>);

impl Service for Scribe {
    fn answer(&self, request: &Request) -> Answer {
        lock(&self.0).answer(request)
    }
}

impl Script {
    fn answer(&mut self, request: &Request) -> Answer {
        let query = if request.query.is_empty() { "" } else { "?" };
        let below = request.path.strip_prefix(&path("")).unwrap_or(&request.path);
        let name = format!("{} {below}{query}{}", request.method, request.query);
        self.log.push(name.clone());
        if let Some(answer) = self.guard.as_mut().and_then(|guard| guard(request)) {
            return answer;
        }
        let next = self.next.get_mut(&name).and_then(VecDeque::pop_front);
        if let Some(answer) = next.or_else(|| self.always.get(&name).cloned()) {
            return answer;
        }
        if request.path == path("tags/list") {
            let list = json!({ "name": UPSTREAM_NAME, "tags": self.tags });
            return json_answer(200, &list);
        }
        let Some(file) = self.files.get(&request.path) else {
            let error = json!({ "errors": [{ "code": "UNKNOWN", "message": "not here" }] });
            return json_answer(404, &error);
        };
        let digest = sha256(&file.bytes);
        Answer::file(request, &file.bytes, &digest)
            .with("Content-Type", &file.kind)
            .with("Docker-Content-Digest", format!("sha256:{digest}"))
    }
}

pub(super) fn json_answer(status: u16, body: &Value) -> Answer {
    Answer::new(status, body.to_string()).with("Content-Type", "application/json")
}
