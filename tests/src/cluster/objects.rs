//! The objects that a scenario has applied to a cluster. This works like `kubectl apply --prune`, but a hundred times
//! faster: some scenarios edit their objects hundreds of times.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
};

use super::ADMIN_TOKEN;
use crate::{client::Connection, tls::Authority};

/// The field manager of the applied objects.
const MANAGER: &str = "scenario";
const APPLY: &str = "application/apply-patch+yaml";
const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";

/// The objects applied so far, and the connection to the API server.
pub(super) struct Objects {
    address: SocketAddr,
    /// The CA of the API server's certificate.
    authority: Authority,
    /// None until the first request.
    connection: Option<Connection>,
    held: BTreeSet<Key>,
}

/// The identity of an object. Namespaces sort before the objects in them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// None for cluster-scoped objects.
    namespace: Option<String>,
    api_version: String,
    kind: String,
    name: String,
}

// === impl Objects ===

impl Objects {
    pub(super) fn new(address: SocketAddr, authority: Authority) -> Self {
        Self {
            address,
            authority,
            connection: None,
            held: BTreeSet::new(),
        }
    }

    /// Applies the manifests of a folder, and deletes applied objects that are no longer in them.
    pub(super) async fn hold(&mut self, manifests: &Path) -> Result<()> {
        let wanted = objects(manifests)?;
        // Applies all objects, because others may have edited them since.
        for (key, object) in &wanted {
            let path = format!("{}?fieldManager={MANAGER}&force=true", key.path());
            let status = self.ask("PATCH", &path, APPLY, &object.to_string()).await?;
            ensure!(matches!(status, 200 | 201), "{key:?}: {status}");
        }
        let wanted: BTreeSet<_> = wanted.into_keys().collect();
        for key in self.held.difference(&wanted).cloned().collect::<Vec<_>>() {
            let status = self.ask("DELETE", &key.path(), APPLY, "").await?;
            // Something else may have deleted it already.
            ensure!(matches!(status, 200 | 202 | 404), "{key:?}: {status}");
        }
        self.held = wanted;
        Ok(())
    }

    /// Deletes all objects of these kinds in `default` and in the namespaces of applied objects.
    pub(super) async fn clear(&mut self, kinds: &[(&str, &str)]) -> Result<()> {
        let namespaces = self.held.iter().filter(|key| key.kind == "Namespace");
        let mut namespaces: BTreeSet<_> = namespaces.map(|key| key.name.clone()).collect();
        namespaces.insert("default".to_owned());
        for namespace in &namespaces {
            for (api, kind) in kinds {
                // The API server recreates the Service `kubernetes`, but with a delay.
                let others = "fieldSelector=metadata.name!=kubernetes";
                let path = format!("/{api}/namespaces/{namespace}/{kind}?{others}");
                self.ask("DELETE", &path, APPLY, "").await?;
            }
        }
        self.held.clear();
        Ok(())
    }

    /// Edits an existing object.
    pub(super) async fn patch(&mut self, path: &str, patch: &Value) -> Result<()> {
        let status = self.ask("PATCH", path, JSON_PATCH, &patch.to_string()).await?;
        ensure!(status == 200, "{path}: {status}");
        Ok(())
    }

    /// Creates an object.
    pub(super) async fn create(&mut self, path: &str, object: &Value) -> Result<()> {
        let status = self.ask("POST", path, JSON, &object.to_string()).await?;
        ensure!(status == 201, "{path}: {status}");
        Ok(())
    }

    /// Sends a request and returns the response's status.
    async fn ask(&mut self, method: &str, path: &str, content_type: &str, body: &str) -> Result<u16> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1")
            .header("authorization", format!("Bearer {ADMIN_TOKEN}"))
            .header("content-type", content_type);
        let body = Full::new(Bytes::from(body.to_owned())).boxed();
        let answer = self.connection().await?.send_body(request, body).await?;
        if answer.status >= 400 && answer.status != 404 {
            anyhow::bail!("{method} {path}: {}", String::from_utf8_lossy(&answer.body));
        }
        Ok(answer.status)
    }

    /// Returns the connection, and opens a new one if the API server has closed the last.
    async fn connection(&mut self) -> Result<&mut Connection> {
        if self.connection.as_ref().is_none_or(Connection::is_closed) {
            let stream = self.authority.connect(self.address, "127.0.0.1").await?;
            self.connection = Some(Connection::over(stream).await?);
        }
        self.connection.as_mut().context("just opened")
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(&self.held).finish()
    }
}

// === impl Key ===

impl Key {
    /// The key of an object. The object of a namespaced kind must have a namespace.
    fn of(object: &Value) -> Result<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let said = |pointer: &str| text(pointer).with_context(|| format!("{pointer} is not said: {object}"));
        Ok(Self {
            namespace: text("/metadata/namespace"),
            api_version: said("/apiVersion")?,
            kind: said("/kind")?,
            name: said("/metadata/name")?,
        })
    }

    fn path(&self) -> String {
        let Self {
            namespace,
            api_version,
            kind,
            name,
        } = self;
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let namespace = namespace
            .as_ref()
            .map_or(String::new(), |namespace| format!("namespaces/{namespace}/"));
        let kind = kind.to_lowercase();
        let plural = match kind.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None if kind.ends_with('s') => kind,
            None => format!("{kind}s"),
        };
        format!("/{root}/{api_version}/{namespace}{plural}/{name}")
    }
}

/// The objects in the manifests of a folder, and the namespaces that these mention.
fn objects(manifests: &Path) -> Result<BTreeMap<Key, Value>> {
    let mut found = Vec::new();
    let mut namespaces = BTreeSet::new();
    for file in fs::read_dir(manifests)? {
        let path = file?.path();
        let text = fs::read_to_string(&path)?;
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).with_context(|| path.display().to_string())?;
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            note_namespaces(&document, &mut namespaces);
            if document["kind"] != "Namespace" {
                found.push(in_a_namespace(document));
            }
        }
    }
    let namespaces = namespaces
        .into_iter()
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    namespaces
        .chain(found)
        .map(|object| Ok((Key::of(&object)?, object)))
        .collect()
}

fn in_a_namespace(mut object: Value) -> Value {
    let metadata = &mut object["metadata"];
    if metadata["namespace"].is_null() {
        metadata["namespace"] = "default".into();
    }
    object
}

/// Collects the values of all `namespace` fields of a manifest.
fn note_namespaces(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let named = fields.get("namespace").and_then(Value::as_str);
            into.extend(named.map(str::to_owned));
            fields.values().for_each(|value| note_namespaces(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| note_namespaces(value, into)),
        _ => {}
    }
}
