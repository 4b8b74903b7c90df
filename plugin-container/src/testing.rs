//! A scripted registry for this crate's tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::{
    client::{Answer, Registry, Request, Transport, TransportError},
    digest::Digest,
};

/// Answers by `METHOD path?query`; everything else is 404. Counts what was asked.
#[derive(Default)]
pub(crate) struct Script {
    answers: HashMap<String, Answer>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let line = format!("{} {}{query}", request.method, request.url.path());
        let answer = self.answers.get(&line).cloned();
        self.asked.lock().expect("not poisoned").push(line);
        Ok(answer.unwrap_or_else(|| Answer {
            status: StatusCode::NOT_FOUND,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }))
    }
}

impl Script {
    pub(crate) fn on(
        mut self,
        line: &str,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Self {
        let headers = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), value.parse().expect("a header value"))
        });
        let status = StatusCode::from_u16(status).expect("a status");
        let body = Bytes::from(body.to_owned());
        self.answers.insert(line.into(), Answer { status, headers: headers.collect(), body });
        self
    }

    pub(crate) fn registry(self) -> (Registry, Arc<Self>) {
        let script = Arc::new(self);
        let base = "http://host:5000/".parse().expect("valid");
        let name = "lab/many".parse().expect("valid");
        (Registry::new(&base, &name, 4096, script.clone()), script)
    }

    /// Holds a manifest, by its digest and by `tag`; answers `HEAD` for the tag.
    pub(crate) fn manifest(self, tag: Option<&str>, body: &str) -> Self {
        let digest = Digest::sha256(body.as_bytes()).to_string();
        let stated: &[(&str, &str)] = &[("docker-content-digest", &digest)];
        let path = "/v2/lab/many/manifests";
        let script = self.on(&format!("GET {path}/{digest}"), 200, stated, body);
        match tag {
            Some(tag) => script.on(&format!("HEAD {path}/{tag}"), 200, stated, ""),
            None => script,
        }
    }

    /// Lists `tags` on one page.
    pub(crate) fn tags(self, tags: &[&str]) -> Self {
        let body = serde_json::json!({"name": "lab/many", "tags": tags}).to_string();
        self.on("GET /v2/lab/many/tags/list", 200, &[], &body)
    }

    /// What was asked for so far, as `METHOD path?query`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}
