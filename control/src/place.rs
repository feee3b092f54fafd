//! The place of an IngressRoute, as known by control, so that an edit does not need to search the directory.

use crate::{question::Question, source::Files};
use serde::{Deserialize, Serialize};
use switchyard_core::Name;
use tokio::sync::{mpsc, oneshot};

/// The default namespace.
pub const NAMESPACE: &str = "default";

/// The answer of `/place`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub namespace: String,
    pub name: String,
    /// The canonical path, to compare with other paths.
    pub directory: String,
    /// The name of the file in the directory.
    pub file: String,
}

/// Finds an IngressRoute by its name on the command line.
pub async fn find(
    text: &str,
    namespace: &str,
    Files { directory, places }: &Files,
    engine: &mpsc::Sender<Question>,
) -> Option<Place> {
    let named = name(text, namespace);
    let (name, file) = match places.file(&named) {
        Some(file) => (named, file),
        None => {
            let root = root(text, engine).await?;
            let file = places.file(&root)?;
            (root, file)
        }
    };
    let directory = directory.canonicalize().ok()?;
    Some(Place {
        namespace: name.namespace.to_string(),
        name: name.name.to_string(),
        directory: directory.to_str()?.to_owned(),
        file: file.to_string(),
    })
}

/// Parses NAMESPACE/NAME, or NAME in `namespace`.
#[must_use]
pub fn name(text: &str, namespace: &str) -> Name {
    let (namespace, name) = text.split_once('/').unwrap_or((namespace, text));
    Name::new(namespace, name)
}

/// The root that serves a host.
async fn root(host: &str, engine: &mpsc::Sender<Question>) -> Option<Name> {
    let (reply, root) = oneshot::channel();
    let host = host.to_ascii_lowercase();
    engine.send(Question::Root { host, reply }).await.ok()?;
    root.await.ok()?
}
