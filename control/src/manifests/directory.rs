//! The files of a directory, as last read.

use super::{Entry, Places, Problem, Severity, file};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use switchyard_core::{ObjectId, object::Batch};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 20;
/// For how long a file must be away, or be empty, before that counts. Some editors move a file away before they write
/// it anew, and writing begins with emptying.
const GRACE: Duration = Duration::from_millis(500);
/// For how long a file that was found changed by looking alone must have been left in peace: it may be half written.
const SETTLED: Duration = Duration::from_secs(1);
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// A directory of manifests. Folders in it are not looked into; links to files are followed.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// By file name.
    files: BTreeMap<Arc<str>, Kept>,
    /// The files that an object stands in. The first by name counts.
    places: BTreeMap<ObjectId, BTreeSet<Arc<str>>>,
    /// The same of IngressRoutes, for others.
    published: Places,
    /// Files that are away or empty, and since when.
    doubtful: BTreeMap<Arc<str>, Instant>,
    /// Why the directory could not be listed the last time.
    unlisted: Option<Problem>,
}

/// Which files to look at, and how much to trust what is seen.
#[derive(Debug)]
pub enum Look {
    /// These have changed, and were closed.
    Told(BTreeSet<Arc<str>>),
    /// Something has changed: those that look different have.
    Everything,
    /// It is time: those that look different have changed, and may be half written.
    Poll,
}

/// A file's last good state, and what is wrong with it now.
#[derive(Debug, Default)]
struct Kept {
    signature: Option<Signature>,
    entries: BTreeMap<ObjectId, Entry>,
    problems: Vec<Problem>,
    others: usize,
}

/// What differs when a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signature {
    file: (u64, u64),
    length: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

// === impl Directory ===

impl Directory {
    /// A directory that nothing has been read of.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            files: BTreeMap::new(),
            places: BTreeMap::new(),
            published: Places::default(),
            doubtful: BTreeMap::new(),
            unlisted: None,
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where IngressRoutes stand, now and later.
    #[must_use]
    pub fn published(&self) -> Places {
        self.published.clone()
    }

    /// The entries that count.
    pub fn entries(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.places.iter().filter_map(|(id, files)| {
            let file = files.first()?;
            Some((file, self.files.get(file)?.entries.get(id)?))
        })
    }

    /// An object, and its file.
    #[must_use]
    pub fn entry(&self, id: &ObjectId) -> Option<(&Arc<str>, &Entry)> {
        let file = self.places.get(id)?.first()?;
        Some((file, self.files.get(file)?.entries.get(id)?))
    }

    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// How many objects are of kinds that routing does not depend on.
    #[must_use]
    pub fn others(&self) -> usize {
        self.files.values().map(|kept| kept.others).sum()
    }

    /// What is wrong now, in the order of files and lines.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let of_files = self.files.values().flat_map(|kept| kept.problems.iter().cloned());
        let mut problems: Vec<_> = self
            .unlisted
            .iter()
            .cloned()
            .chain(of_files)
            .chain(self.duplicates())
            .collect();
        problems.sort();
        problems
    }

    /// When to look at doubtful files again.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.doubtful.values().min().map(|since| *since + GRACE)
    }

    /// Looks at files, and says what has changed.
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

    /// The files that look different, and those that are gone.
    fn changed(&mut self, polled: bool) -> BTreeSet<Arc<str>> {
        let Some(present) = self.list() else {
            return BTreeSet::new();
        };
        let gone = self.files.keys().filter(|name| !present.contains(*name));
        let different = present.iter().filter(|name| self.differs(name, polled));
        gone.chain(different).cloned().collect()
    }

    /// The names of the files. None where the directory cannot be read: then all that was known stays.
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
                bad.problems.push(unreadable(name, error.to_string()));
                self.take(name, None, bad, touched);
            }
        }
    }

    /// Whether it is too early to believe that a file which had something has nothing any more.
    fn doubted(&mut self, name: &Arc<str>, now: Instant) -> bool {
        if self.files.get(name).is_none_or(|kept| kept.entries.is_empty()) {
            return false;
        }
        let since = *self.doubtful.entry(name.clone()).or_insert(now);
        now.saturating_duration_since(since) < GRACE
    }

    /// Takes a file as it reads now. A bad one keeps its last good state; what can be read of it counts only where it
    /// never had one.
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
            problems,
            others,
        } = read;
        let kept = self.files.entry(name.clone()).or_default();
        kept.signature = signature;
        kept.problems = problems;
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
                displace(&mut directory.places, id, name);
            }
            let new = directory
                .files
                .get(name)
                .into_iter()
                .flat_map(|kept| kept.entries.keys());
            for id in new {
                directory
                    .places
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
                displace(&mut directory.places, id, name);
            }
        });
    }

    /// Makes an edit, and notes for which of these objects another one counts afterwards, or none.
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

    /// What has become of objects.
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

    /// Objects that stand in several files. A file that may be going does not count: it may have been renamed.
    fn duplicates(&self) -> impl Iterator<Item = Problem> {
        self.places.iter().flat_map(move |(id, files)| {
            let mut files = files.iter().filter(|file| !self.doubtful.contains_key(*file));
            let first = files.next();
            files.filter_map(move |file| self.duplicate(id, first?, file))
        })
    }

    fn duplicate(&self, id: &ObjectId, first: &Arc<str>, file: &Arc<str>) -> Option<Problem> {
        let positions = |file| Some(&self.files.get(file)?.entries.get(id)?.positions);
        let field = "metadata.name";
        let line = positions(first)?.find(field).line;
        Some(Problem {
            file: file.clone(),
            position: positions(file)?.find(field),
            severity: Severity::Error,
            object: id.to_string(),
            field: field.to_owned(),
            message: format!("it stands in {first}:{line} too, and that one counts: remove one of the two"),
        })
    }
}

fn displace(places: &mut BTreeMap<ObjectId, BTreeSet<Arc<str>>>, id: &ObjectId, file: &Arc<str>) {
    let Some(files) = places.get_mut(id) else { return };
    files.remove(file);
    if files.is_empty() {
        places.remove(id);
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

/// The name of a file, if it is one that is read: hidden ones are editors' and the kubelet's.
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
    // Taken before the text: what is written in between makes it look different again.
    let signature = Signature::of(&metadata);
    Ok((signature, fs::read_to_string(path)?))
}

fn unreadable(file: &Arc<str>, message: String) -> Problem {
    Problem {
        file: file.clone(),
        position: super::Position { line: 1, column: 1 },
        severity: Severity::Error,
        object: String::new(),
        field: String::new(),
        message,
    }
}

/// How long ago it was written. None where the clock cannot say.
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
