//! Certificates as Secrets.

use super::{
    holding::{CA, CERTIFICATE, Holding, Holdings, KEY, Role},
    plan::Entry,
};
use crate::args::Format;
use anyhow::{Context, Error, Result, bail};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The field manager in `metadata.managedFields`.
const MANAGER: &str = "switchyard-certgen";
const TYPE: &str = "kubernetes.io/tls";
/// The maximum number of attempts, which fail if another run writes in between.
const TRIES: usize = 10;

/// The Secrets of a namespace.
pub(super) struct Secrets {
    api: Api<Secret>,
    namespace: String,
}

/// The result of a write that did not fail.
enum Written {
    Done,
    /// Somebody else has written a Secret since it was read.
    Conflict,
}

/// Formats the Secrets, as YAML documents or as one JSON List.
pub(super) fn print(entries: &[Entry], namespace: &str, format: Format) -> String {
    let holding = |entry: &Entry| Some((entry.role, entry.holding.clone()?));
    let secret = |(role, holding): (Role, Holding)| json!(filled(new(role, namespace), &holding));
    let secrets: Vec<Value> = entries.iter().filter_map(holding).map(secret).collect();
    match format {
        Format::Yaml => {
            let documents: Vec<_> = secrets.iter().map(|secret| format.document(secret)).collect();
            documents.join("---\n")
        }
        Format::Json => format.document(&json!({"apiVersion": "v1", "kind": "List", "items": secrets})),
    }
}

/// A Secret without data.
fn new(role: Role, namespace: &str) -> Secret {
    let label = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let labels = [
        ("app.kubernetes.io/name", "switchyard"),
        ("app.kubernetes.io/managed-by", MANAGER),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(role.secret().to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.map(label).into()),
            ..ObjectMeta::default()
        },
        type_: Some(TYPE.to_owned()),
        ..Secret::default()
    }
}

/// Replaces the parts of a Secret, and keeps its other data.
fn filled(mut secret: Secret, holding: &Holding) -> Secret {
    let data = secret.data.get_or_insert_default();
    for (name, part) in holding.parts() {
        data.insert(name.to_owned(), ByteString(part.as_bytes().to_vec()));
    }
    secret
}

fn to_holding(secret: &Secret) -> Holding {
    let part = |name| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(name));
        bytes.map_or_else(String::new, |bytes| {
            String::from_utf8_lossy(&bytes.0).into_owned()
        })
    };
    Holding {
        ca: part(CA),
        certificate: part(CERTIFICATE),
        key: part(KEY),
    }
}

// === impl Secrets ===

impl Secrets {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
        }
    }

    /// Applies `plan` to the namespace, and returns the Secrets with their outcome.
    pub(super) async fn hold(
        &self,
        plan: impl Fn(&Holdings) -> Result<Vec<Entry>>,
    ) -> Result<Vec<(String, Entry)>> {
        for _ in 0..TRIES {
            let secrets = self.read().await?;
            let existing = secrets.iter().map(|(role, secret)| (*role, to_holding(secret)));
            let entries = plan(&existing.collect())?;
            if let Written::Done = self.write(secrets, &entries).await? {
                let held = entries.into_iter().map(|entry| (self.place(entry.role), entry));
                return Ok(held.collect());
            }
        }
        bail!(
            "the Secrets in namespace {} keep changing: another process writes them, too",
            self.namespace
        )
    }

    async fn read(&self) -> Result<BTreeMap<Role, Secret>> {
        let mut secrets = BTreeMap::new();
        for role in Role::ALL {
            let found = self.api.get_opt(role.secret()).await;
            let found = found.with_context(|| format!("cannot get Secret {}", self.place(role)))?;
            secrets.extend(found.map(|secret| (role, secret)));
        }
        Ok(secrets)
    }

    async fn write(&self, mut existing: BTreeMap<Role, Secret>, entries: &[Entry]) -> Result<Written> {
        for Entry { role, holding, .. } in entries {
            let Some(holding) = holding else { continue };
            let written = match existing.remove(role) {
                None => self.create(*role, holding).await,
                Some(secret) => self.replace(*role, secret, holding).await,
            };
            match written {
                Ok(()) => {}
                Err(kube::Error::Api(status)) if status.code == 409 => return Ok(Written::Conflict),
                Err(error) => {
                    return Err(
                        Error::new(error).context(format!("cannot write Secret {}", self.place(*role)))
                    );
                }
            }
        }
        Ok(Written::Done)
    }

    async fn create(&self, role: Role, holding: &Holding) -> kube::Result<()> {
        let secret = filled(new(role, &self.namespace), holding);
        self.api.create(&as_manager(), &secret).await.map(drop)
    }

    /// Replaces a Secret, unless it was changed since it was read: it carries the resourceVersion.
    async fn replace(&self, role: Role, secret: Secret, holding: &Holding) -> kube::Result<()> {
        let secret = filled(secret, holding);
        self.api
            .replace(role.secret(), &as_manager(), &secret)
            .await
            .map(drop)
    }

    fn place(&self, role: Role) -> String {
        format!("{}/{}", self.namespace, role.secret())
    }
}

fn as_manager() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}
