//! Watches a directory: each change is read within milliseconds, and none is missed for long.

use super::{Diagnostic, Directory, Look, SourceLocations, manifest_name};
use notify::{
    Event, EventKind, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind},
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};
use switchyard_core::object::Batch;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// The maximum time between two notifications of the same command.
const TOGETHER: Duration = Duration::from_micros(250);
/// The maximum wait for further notifications of an edit.
const LONGEST: Duration = Duration::from_millis(5);
/// The polling interval: notifications are lost on some file systems, and when their queue overflows.
const POLL: Duration = Duration::from_secs(5);

/// A notification of the operating system.
#[derive(Debug, PartialEq, Eq)]
enum Hint {
    File(Arc<str>),
    /// A link was swapped, or notifications were lost.
    Anything,
}

struct Watch {
    directory: Directory,
    hints: Receiver<Hint>,
    sender: Sender<Hint>,
    /// The diagnostics that were logged last.
    diagnostics: BTreeSet<Diagnostic>,
    /// The watcher, which ends the notifications when it is dropped, and the inode of its directory.
    watcher: Option<(notify::RecommendedWatcher, u64)>,
}

/// Reads a directory, and watches it for changes. The first batch has all objects. Returns the locations of
/// IngressRoutes in it.
pub fn spawn(path: &Path, batches: mpsc::Sender<Batch>) -> SourceLocations {
    let (sender, hints) = channel();
    let directory = Directory::new(path);
    let locations = directory.published();
    let watch = Watch {
        directory,
        hints,
        sender,
        diagnostics: BTreeSet::new(),
        watcher: None,
    };
    thread::spawn(move || watch.run(&batches));
    locations
}

// === impl Watch ===

impl Watch {
    fn run(mut self, batches: &mpsc::Sender<Batch>) {
        // Before the first look, so that changes in between are notified.
        self.listen();
        let mut look = Look::Everything;
        let mut first = true;
        loop {
            let batch = self.directory.look(look, Instant::now());
            let news = first || !batch.applied.is_empty() || !batch.deleted.is_empty();
            if news && batches.blocking_send(batch).is_err() {
                return;
            }
            self.tell();
            first = false;
            look = self.wait();
        }
    }

    /// Waits for the next reason to look.
    fn wait(&mut self) -> Look {
        let now = Instant::now();
        let poll = now + POLL;
        let due = self.directory.due().map_or(poll, |due| due.min(poll));
        match self.hints.recv_timeout(due.saturating_duration_since(now)) {
            Ok(hint) => self.gather(hint),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) if due < poll => {
                Look::Told(BTreeSet::new())
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                self.listen();
                Look::Poll
            }
        }
    }

    fn gather(&self, first: Hint) -> Look {
        let end = Instant::now() + LONGEST;
        let mut names = BTreeSet::new();
        let mut anything = false;
        let mut hint = Ok(first);
        while let Ok(told) = hint {
            match told {
                Hint::File(name) => drop(names.insert(name)),
                Hint::Anything => anything = true,
            }
            let left = end.saturating_duration_since(Instant::now());
            hint = self.hints.recv_timeout(TOGETHER.min(left));
        }
        if anything {
            Look::Everything
        } else {
            Look::Told(names)
        }
    }

    /// Starts the notifications, unless they are running. A directory that was replaced is watched again.
    fn listen(&mut self) {
        let path = self.directory.path();
        let inode = fs::metadata(path).map(|metadata| metadata.ino()).ok();
        if inode.is_none() || inode == self.watcher.as_ref().map(|(_, inode)| *inode) {
            return;
        }
        match watcher(path, self.sender.clone()) {
            Ok(watcher) => self.watcher = inode.map(|inode| (watcher, inode)),
            Err(error) => warn!(
                directory = %path.display(), %error,
                "Cannot watch the directory; polling every {} s", POLL.as_secs(),
            ),
        }
    }

    /// Logs new diagnostics, and the end of the last one.
    fn tell(&mut self) {
        let diagnostics: BTreeSet<_> = self.directory.diagnostics().into_iter().collect();
        for diagnostic in diagnostics.difference(&self.diagnostics) {
            let (place, text) = (diagnostic.place(), diagnostic.text());
            if diagnostic.is_error() {
                error!(%place, "Rejected; the last good state stays in effect: {text}");
            } else {
                warn!(%place, "{text}");
            }
        }
        if diagnostics.is_empty() && !self.diagnostics.is_empty() {
            info!(directory = %self.directory.path().display(), "All files are valid again");
        }
        self.diagnostics = diagnostics;
    }
}

fn watcher(path: &Path, hints: Sender<Hint>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        for hint in event.map_or_else(|_| vec![Hint::Anything], |event| hints_of(&event)) {
            // A dropped receiver is not an error.
            drop(hints.send(hint));
        }
    })?;
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn hints_of(event: &Event) -> Vec<Hint> {
    if event.need_rescan() {
        return vec![Hint::Anything];
    }
    let concerns = |path: &&PathBuf| concerns(event.kind, path);
    let hint = |path: &PathBuf| manifest_name(path).map_or(Hint::Anything, Hint::File);
    event.paths.iter().filter(concerns).map(hint).collect()
}

/// Returns true if a file has probably changed. On systems that notify the end of a write, earlier events are ignored:
/// the file may be half written.
fn concerns(kind: EventKind, path: &Path) -> bool {
    let ends_are_told = cfg!(any(target_os = "linux", target_os = "android"));
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => manifest_name(path).is_some(),
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
        EventKind::Modify(ModifyKind::Data(_)) => !ends_are_told && manifest_name(path).is_some(),
        EventKind::Create(CreateKind::File) if ends_are_told => is_linked(path),
        // Manifests may be links to it, or through it. Otherwise it is a file that an editor writes before a rename.
        EventKind::Modify(ModifyKind::Name(_)) if manifest_name(path).is_none() => is_linked(path),
        _ => true,
    }
}

/// Returns true if a new name is a link to an existing file, which nobody is about to write and close.
fn is_linked(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink() || metadata.nlink() > 1)
}

#[cfg(test)]
mod tests;
