//! Incremental reading of the access log.

use anyhow::Result;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

pub(super) struct Log {
    path: PathBuf,
    read: Mutex<Lines>,
}

/// The lines read so far by request, and their length in bytes. Only complete lines are read.
#[derive(Default)]
struct Lines {
    bytes: u64,
    by_request: BTreeMap<String, Value>,
}

// === impl Log ===

impl Log {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: Mutex::default(),
        }
    }

    /// The line of a request, if it has been written.
    pub(super) fn line(&self, request: &str) -> Result<Option<Value>> {
        let mut lines = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(lines.bytes))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        lines.bytes += u64::try_from(whole.len() + usize::from(!whole.is_empty()))?;
        let read = whole
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let by_request = read.filter_map(|line| Some((line["request_id"].as_str()?.to_owned(), line)));
        lines.by_request.extend(by_request);
        Ok(lines.by_request.get(request).cloned())
    }
}
