//! The files of a directory, as last read.

use super::{Diagnostic, Entry, Severity, SourceLocations, file};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use switchyard_core::{ObjectId, object::Batch};

/// The maximum size of a file, in bytes.
const LARGEST: u64 = 64 << 20;
/// The time for which a file must be missing or empty before that counts. Some editors move a file away before they
/// write it again, and a write begins with truncation.
const GRACE: Duration = Duration::from_millis(500);
/// The time since the last write to a file that is found changed by polling: it may be half written before.
const SETTLED: Duration = Duration::from_secs(1);
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// A directory of manifests. Folders in it are not read; links to files are followed.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The files by name.
    files: BTreeMap<Arc<str>, Kept>,
    /// The files that contain each object. The first by name is in effect.
    locations: BTreeMap<ObjectId, BTreeSet<Arc<str>>>,
    /// The locations of IngressRoutes, shared with others.
    published: SourceLocations,
    /// Files that are missing or empty, with the time since when.
    doubtful: BTreeMap<Arc<str>, Instant>,
    /// The error of the last listing of the directory, if it failed.
    unlisted: Option<Diagnostic>,
}

/// The files to look at, by the reason to look.
#[derive(Debug)]
pub enum Look {
    /// Files that were changed and closed.
    Told(BTreeSet<Arc<str>>),
    /// All files, because of a change: files that look different have changed.
    Everything,
    /// All files, by polling: files that look different have changed, and may be half written.
    Poll,
}

/// A file's last good state, and its current diagnostics.
#[derive(Debug, Default)]
struct Kept {
    signature: Option<Signature>,
    entries: BTreeMap<ObjectId, Entry>,
    diagnostics: Vec<Diagnostic>,
    others: usize,
}

/// The metadata that differs when a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signature {
    file: (u64, u64),
    length: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

// === impl Directory ===

impl Directory {
    /// Creates a directory, without reading it.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            files: BTreeMap::new(),
            locations: BTreeMap::new(),
            published: SourceLocations::default(),
            doubtful: BTreeMap::new(),
            unlisted: None,
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The locations of IngressRoutes, which are kept up to date.
    #[must_use]
    pub fn published(&self) -> SourceLocations {
        self.published.clone()
    }

    /// The entries in effect, each with its file.
    pub fn entries(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.locations.iter().filter_map(|(id, files)| {
            let file = files.first()?;
            Some((file, self.files.get(file)?.entries.get(id)?))
        })
    }

    /// The entry of an object in effect, with its file.
    #[must_use]
    pub fn entry(&self, id: &ObjectId) -> Option<(&Arc<str>, &Entry)> {
        let file = self.locations.get(id)?.first()?;
        Some((file, self.files.get(file)?.entries.get(id)?))
    }

    /// The number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The number of objects of kinds that routing does not depend on.
    #[must_use]
    pub fn others(&self) -> usize {
        self.files.values().map(|kept| kept.others).sum()
    }

    /// The current diagnostics, in the order of files and lines.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let of_files = self
            .files
            .values()
            .flat_map(|kept| kept.diagnostics.iter().cloned());
        let mut diagnostics: Vec<_> = self
            .unlisted
            .iter()
            .cloned()
            .chain(of_files)
            .chain(self.duplicates())
            .collect();
        diagnostics.sort();
        diagnostics
    }

    /// The time to look at doubtful files again.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.doubtful.values().min().map(|since| *since + GRACE)
    }

    /// Looks at files, and returns the changes.
    pub fn look(&mut self, look: Look, now: Instant) -> Batch {
        let polled = matches!(look, Look::Poll);
        let names = match look {
            Look::Told(names) => names,
            Look::Everything | Look::Poll => self.changed(polled),
        };
        let again = self.doubtful.keys().cloned();
        let names: BTreeSet<_> = names.into_iter().chain(again).collect();
        let mut touched = BTreeSet::new();
        for name in names {
            self.look_at(&name, now, &mut touched);
        }
        self.batch(touched)
    }

    /// The files that look different, and missing ones.
    fn changed(&mut self, polled: bool) -> BTreeSet<Arc<str>> {
        let Some(present) = self.list() else {
            return BTreeSet::new();
        };
        let gone = self.files.keys().filter(|name| !present.contains(*name));
        let different = present.iter().filter(|name| self.differs(name, polled));
        gone.chain(different).cloned().collect()
    }

    /// The names of the files. `None` if the directory cannot be read, in which case everything known stays.
    fn list(&mut self) -> Option<BTreeSet<Arc<str>>> {
        match names(&self.path) {
            Ok(names) => {
                self.unlisted = None;
                Some(names)
            }
            Err(error) => {
                let name = self.path.display().to_string().into();
                self.unlisted = Some(unreadable(&name, format!("cannot be listed: {error}")));
                None
            }
        }
    }

    fn differs(&self, name: &Arc<str>, polled: bool) -> bool {
        let Ok(metadata) = fs::metadata(self.path.join(&**name)) else {
            return true;
        };
        let known = self.files.get(name).and_then(|kept| kept.signature);
        let settled = !polled || age(&metadata).is_none_or(|age| age >= SETTLED);
        settled && known != Some(Signature::of(&metadata))
    }

    fn look_at(&mut self, name: &Arc<str>, now: Instant, touched: &mut BTreeSet<ObjectId>) {
        match read(&self.path.join(&**name)) {
            Ok((_, text)) if text.is_empty() && self.doubted(name, now) => {}
            Ok((signature, text)) => {
                self.doubtful.remove(name);
                self.take(name, Some(signature), file::read(name, &text), touched);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.doubted(name, now) {
                    self.doubtful.remove(name);
                    self.forget(name, touched);
                }
            }
            Err(error) => {
                let mut bad = file::File::default();
                bad.diagnostics.push(unreadable(name, error.to_string()));
                self.take(name, None, bad, touched);
            }
        }
    }

    /// Returns true while it is too early to believe that a file which had objects has none any more.
    fn doubted(&mut self, name: &Arc<str>, now: Instant) -> bool {
        if self.files.get(name).is_none_or(|kept| kept.entries.is_empty()) {
            return false;
        }
        let since = *self.doubtful.entry(name.clone()).or_insert(now);
        now.saturating_duration_since(since) < GRACE
    }

    /// Updates a file. A bad one keeps its last good state; if it never had one, its readable objects count.
    fn take(
        &mut self,
        name: &Arc<str>,
        signature: Option<Signature>,
        read: file::File,
        touched: &mut BTreeSet<ObjectId>,
    ) {
        let good = read.is_good();
        let file::File {
            entries,
            diagnostics,
            others,
        } = read;
        let kept = self.files.entry(name.clone()).or_default();
        kept.signature = signature;
        kept.diagnostics = diagnostics;
        if !good && !kept.entries.is_empty() {
            return;
        }
        kept.others = others;
        let ids: BTreeSet<_> = kept.entries.keys().chain(entries.keys()).cloned().collect();
        self.edit(&ids, touched, |directory| {
            let old = std::mem::replace(
                &mut directory.files.entry(name.clone()).or_default().entries,
                entries,
            );
            for id in old.keys() {
                displace(&mut directory.locations, id, name);
            }
            let new = directory
                .files
                .get(name)
                .into_iter()
                .flat_map(|kept| kept.entries.keys());
            for id in new {
                directory
                    .locations
                    .entry(id.clone())
                    .or_default()
                    .insert(name.clone());
            }
        });
    }

    fn forget(&mut self, name: &Arc<str>, touched: &mut BTreeSet<ObjectId>) {
        let Some(kept) = self.files.get(name) else { return };
        let ids: BTreeSet<_> = kept.entries.keys().cloned().collect();
        self.edit(&ids, touched, |directory| {
            directory.files.remove(name);
            for id in &ids {
                displace(&mut directory.locations, id, name);
            }
        });
    }

    /// Makes an edit, and records the objects whose entry in effect has changed.
    fn edit(
        &mut self,
        ids: &BTreeSet<ObjectId>,
        touched: &mut BTreeSet<ObjectId>,
        edit: impl FnOnce(&mut Self),
    ) {
        let object = |directory: &Self, id| directory.entry(id).map(|(_, entry)| entry.object.clone());
        let before: Vec<_> = ids.iter().map(|id| object(self, id)).collect();
        edit(self);
        self.published.note(ids.iter().map(|id| (id, self.entry(id))));
        let changed = ids
            .iter()
            .zip(before)
            .filter(|(id, before)| object(self, id) != *before);
        touched.extend(changed.map(|(id, _)| id.clone()));
    }

    /// The batch of changed objects.
    fn batch(&self, touched: BTreeSet<ObjectId>) -> Batch {
        let mut batch = Batch::default();
        for id in touched {
            match self.entry(&id) {
                Some((_, entry)) => batch.applied.push(entry.object.clone()),
                None => batch.deleted.push(id),
            }
        }
        batch
    }

    /// The errors for objects in several files. Doubtful files do not count, since they may have been renamed.
    fn duplicates(&self) -> impl Iterator<Item = Diagnostic> {
        self.locations.iter().flat_map(move |(id, files)| {
            let mut files = files.iter().filter(|file| !self.doubtful.contains_key(*file));
            let first = files.next();
            files.filter_map(move |file| self.duplicate(id, first?, file))
        })
    }

    fn duplicate(&self, id: &ObjectId, first: &Arc<str>, file: &Arc<str>) -> Option<Diagnostic> {
        let positions = |file| Some(&self.files.get(file)?.entries.get(id)?.positions);
        let field = "metadata.name";
        let line = positions(first)?.find(field).line;
        Some(Diagnostic {
            file: file.clone(),
            position: positions(file)?.find(field),
            severity: Severity::Error,
            object: id.to_string(),
            field: field.to_owned(),
            message: format!("also defined in {first}:{line}, which takes precedence: remove one"),
        })
    }
}

fn displace(locations: &mut BTreeMap<ObjectId, BTreeSet<Arc<str>>>, id: &ObjectId, file: &Arc<str>) {
    let Some(files) = locations.get_mut(id) else {
        return;
    };
    files.remove(file);
    if files.is_empty() {
        locations.remove(id);
    }
}

/// The names of the manifests in a directory.
fn names(path: &Path) -> io::Result<BTreeSet<Arc<str>>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let Some(name) = manifest_name(&entry.path()) else {
            continue;
        };
        // A folder may be named like a manifest.
        if !fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir()) {
            names.insert(name);
        }
    }
    Ok(names)
}

/// The name of a file, if it is a manifest. Hidden files are not, since editors and the kubelet create them.
#[must_use]
pub fn manifest_name(path: &Path) -> Option<Arc<str>> {
    let name = path.file_name()?.to_str()?;
    let ending = path.extension()?.to_str()?;
    (!name.starts_with('.') && ENDINGS.contains(&ending)).then(|| name.into())
}

fn read(path: &Path) -> io::Result<(Signature, String)> {
    let metadata = fs::metadata(path)?;
    if metadata.len() > LARGEST {
        let message = format!("is larger than {} MiB: split it", LARGEST >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    // Taken before the text, so that a write in between makes the file look different again.
    let signature = Signature::of(&metadata);
    Ok((signature, fs::read_to_string(path)?))
}

fn unreadable(file: &Arc<str>, message: String) -> Diagnostic {
    Diagnostic {
        file: file.clone(),
        position: super::Position { line: 1, column: 1 },
        severity: Severity::Error,
        object: String::new(),
        field: String::new(),
        message,
    }
}

/// The time since the last write; `None` if the clock cannot tell.
fn age(metadata: &fs::Metadata) -> Option<Duration> {
    SystemTime::now().duration_since(metadata.modified().ok()?).ok()
}

// === impl Signature ===

impl Signature {
    fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            file: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: metadata.modified().ok(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests;
