//! Certificates in a directory: a folder for each role, with the files of a Secret's volume.

use super::{
    holding::{CA, CERTIFICATE, Holding, Holdings, KEY, Role},
    plan::Entry,
};
use anyhow::{Context, Result};
use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The mode of files with a private key.
const SECRET_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;

/// A directory with a folder for each role.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

// === impl Folder ===

impl Folder {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// Applies `plan` to the directory, and returns the folders with their outcome.
    pub(super) fn hold(
        &self,
        plan: impl FnOnce(&Holdings) -> Result<Vec<Entry>>,
    ) -> Result<Vec<(String, Entry)>> {
        let entries = plan(&self.read()?)?;
        let mut held = Vec::new();
        for entry in entries {
            let folder = self.0.join(entry.role.folder());
            if let Some(holding) = &entry.holding {
                write(&folder, holding)?;
            }
            held.push((folder.display().to_string(), entry));
        }
        Ok(held)
    }

    fn read(&self) -> Result<Holdings> {
        let mut holdings = Holdings::new();
        for role in Role::ALL {
            let folder = self.0.join(role.folder());
            let holding = Holding {
                ca: text(&folder.join(CA))?,
                certificate: text(&folder.join(CERTIFICATE))?,
                key: text(&folder.join(KEY))?,
            };
            if !holding.is_empty() {
                holdings.insert(role, holding);
            }
        }
        Ok(holdings)
    }
}

/// Reads a file; empty if it does not exist. A file that is not UTF-8 is not PEM, which fails later.
fn text(path: &Path) -> Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Replaces each file atomically. A reader between two of them finds a key that does not match the certificate, and
/// tries again.
fn write(folder: &Path, holding: &Holding) -> Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the directory {}", folder.display()))?;
    for (name, part) in holding.parts() {
        let path = folder.join(name);
        let mode = if name == KEY { SECRET_MODE } else { PUBLIC_MODE };
        put(&path, part, mode).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str, mode: u32) -> Result<()> {
    let folder = path.parent().context("the path has no parent directory")?;
    // It is created with mode 0600.
    let mut file = tempfile::Builder::new()
        .prefix(".switchyard-")
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certgen::plan::Outcome;
    use time::OffsetDateTime;

    fn mk_entry(role: Role, text: &str) -> Entry {
        Entry {
            role,
            outcome: Outcome::Made,
            until: OffsetDateTime::UNIX_EPOCH,
            holding: Some(Holding {
                ca: format!("{text} ca"),
                certificate: format!("{text} certificate"),
                key: format!("{text} key"),
            }),
        }
    }

    #[test]
    fn key_files_are_owner_only_and_no_temporary_files_remain() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("certs"));
        for text in ["old", "new"] {
            folder.hold(|_| Ok(vec![mk_entry(Role::Server, text)])).unwrap();
            let server = dir.path().join("certs/server");
            for (name, mode, part) in [
                ("ca.crt", 0o644, "ca"),
                ("tls.crt", 0o644, "certificate"),
                ("tls.key", 0o600, "key"),
            ] {
                let path = server.join(name);
                assert_eq!(
                    fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                    mode,
                    "{name}"
                );
                assert_eq!(fs::read_to_string(path).unwrap(), format!("{text} {part}"));
            }
            assert_eq!(fs::read_dir(server).unwrap().count(), 3);
        }
    }

    #[test]
    fn written_files_are_read_back_and_kept_files_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned());
        let entry = mk_entry(Role::Client, "a");
        let want = Holdings::from([(Role::Client, entry.holding.clone().unwrap())]);
        folder.hold(|_| Ok(vec![entry.clone()])).unwrap();
        let key = dir.path().join("client/tls.key");
        let before = fs::metadata(&key).unwrap().modified().unwrap();
        let held = folder.hold(|existing| {
            assert_eq!(*existing, want);
            Ok(vec![Entry {
                holding: None,
                ..entry
            }])
        });
        assert_eq!(
            held.unwrap()[0].0,
            dir.path().join("client").display().to_string()
        );
        assert_eq!(fs::metadata(&key).unwrap().modified().unwrap(), before);
    }
}
