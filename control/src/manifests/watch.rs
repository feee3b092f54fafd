//! Watching a directory: each change is read within milliseconds, and none is missed for long.

use super::{Directory, Look, Places, Problem, manifest_name};
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

/// What one command moves or writes comes closer together than this.
const TOGETHER: Duration = Duration::from_micros(250);
/// For how long more of an edit is waited for, whatever comes.
const LONGEST: Duration = Duration::from_millis(5);
/// How often everything is looked at, told or not: notifications are lost on some file systems, and when their queue
/// runs over.
const POLL: Duration = Duration::from_secs(5);

/// What the operating system told.
#[derive(Debug, PartialEq, Eq)]
enum Hint {
    File(Arc<str>),
    /// A link was swapped, or something was lost.
    Anything,
}

struct Watch {
    directory: Directory,
    hints: Receiver<Hint>,
    sender: Sender<Hint>,
    /// What was told of last.
    problems: BTreeSet<Problem>,
    /// Held, as dropping it ends the notifications; and which directory it watches.
    watcher: Option<(notify::RecommendedWatcher, u64)>,
}

/// Reads a directory, and goes on reading what changes in it. The first batch is all that there is. Answers where
/// IngressRoutes stand in it.
pub fn spawn(path: &Path, batches: mpsc::Sender<Batch>) -> Places {
    let (sender, hints) = channel();
    let directory = Directory::new(path);
    let places = directory.published();
    let watch = Watch {
        directory,
        hints,
        sender,
        problems: BTreeSet::new(),
        watcher: None,
    };
    thread::spawn(move || watch.run(&batches));
    places
}

// === impl Watch ===

impl Watch {
    fn run(mut self, batches: &mpsc::Sender<Batch>) {
        // Before the first look: what comes in between is told of.
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

    /// Asks for notifications, unless they come already. A directory that was replaced is another.
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
                "Changes are not notified: looking every {} s", POLL.as_secs(),
            ),
        }
    }

    /// Logs what is newly wrong, and what no longer is.
    fn tell(&mut self) {
        let problems: BTreeSet<_> = self.directory.problems().into_iter().collect();
        for problem in problems.difference(&self.problems) {
            let (place, text) = (problem.place(), problem.text());
            if problem.is_error() {
                error!(%place, "Refused, what was read before goes on: {text}");
            } else {
                warn!(%place, "{text}");
            }
        }
        if problems.is_empty() && !self.problems.is_empty() {
            info!(directory = %self.directory.path().display(), "Every file reads well again");
        }
        self.problems = problems;
    }
}

fn watcher(path: &Path, hints: Sender<Hint>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        for hint in event.map_or_else(|_| vec![Hint::Anything], |event| hints_of(&event)) {
            // Where nobody listens any more, there is nobody to tell.
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

/// Whether a file is likely to read otherwise now. Where the end of writing is told, what happens before is not of
/// interest: the file may be half written.
fn concerns(kind: EventKind, path: &Path) -> bool {
    let ends_are_told = cfg!(any(target_os = "linux", target_os = "android"));
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => manifest_name(path).is_some(),
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
        EventKind::Modify(ModifyKind::Data(_)) => !ends_are_told && manifest_name(path).is_some(),
        EventKind::Create(CreateKind::File) if ends_are_told => is_linked(path),
        // Manifests may be links to it, or through it. Else it is what an editor writes before it renames.
        EventKind::Modify(ModifyKind::Name(_)) if manifest_name(path).is_none() => is_linked(path),
        _ => true,
    }
}

/// Whether a new name is not that of a new file: nobody is about to write and close it.
fn is_linked(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink() || metadata.nlink() > 1)
}

#[cfg(test)]
mod tests;
