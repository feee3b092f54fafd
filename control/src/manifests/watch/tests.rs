use super::*;
use std::{fs, path::PathBuf};
use switchyard_core::Object;
use tempfile::TempDir;

/// A timeout that is much longer than a change takes, and much shorter than the polling interval.
const PATIENCE: Duration = Duration::from_secs(2);

struct Fixture {
    folder: TempDir,
    batches: mpsc::Receiver<Batch>,
}

// === impl Fixture ===

impl Fixture {
    /// Starts watching a directory with `a.yaml` in it.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), service(1)).unwrap();
        let (sender, batches) = mpsc::channel(64);
        spawn(folder.path(), sender);
        let mut fixture = Self { folder, batches };
        assert_eq!(fixture.next().await, Some(1));
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The next port of the Service; `None` if it was deleted.
    async fn next(&mut self) -> Option<u16> {
        let batch = tokio::time::timeout(PATIENCE, self.batches.recv())
            .await
            .unwrap()
            .unwrap();
        batch
            .applied
            .iter()
            .map(|object| match object {
                Object::Service(service) => service.ports[0].port,
                other => panic!("{other:?}"),
            })
            .next()
    }
}

fn service(port: u16) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{ports: [{{port: {port}}}]}}\n")
}

#[tokio::test]
async fn every_kind_of_file_change_is_detected() {
    let mut at = Fixture::start().await;
    fs::write(at.path("a.yaml"), service(2)).unwrap();
    assert_eq!(at.next().await, Some(2), "written in place");
    fs::write(at.path("new"), service(3)).unwrap();
    fs::rename(at.path("new"), at.path("a.yaml")).unwrap();
    assert_eq!(at.next().await, Some(3), "written beside and moved");
    fs::write(at.path("new"), service(4)).unwrap();
    fs::remove_file(at.path("a.yaml")).unwrap();
    fs::hard_link(at.path("new"), at.path("a.yaml")).unwrap();
    assert_eq!(at.next().await, Some(4), "linked");
    fs::remove_file(at.path("a.yaml")).unwrap();
    std::os::unix::fs::symlink("new", at.path("a.yaml")).unwrap();
    fs::write(at.path("b.yaml"), service(5)).unwrap();
    fs::remove_file(at.path("a.yaml")).unwrap();
    assert_eq!(
        at.next().await,
        Some(5),
        "moved to another file, once the first is really gone"
    );
    fs::remove_file(at.path("b.yaml")).unwrap();
    assert_eq!(at.next().await, None, "removed");
}

#[tokio::test]
async fn changes_within_one_clock_tick_are_detected() {
    let mut at = Fixture::start().await;
    for port in (2..=9).cycle().take(40) {
        fs::write(at.path("a.yaml"), service(port)).unwrap();
        assert_eq!(at.next().await, Some(port));
    }
}

#[tokio::test]
async fn symlink_swap_is_detected() {
    let mut at = Fixture::start().await;
    for (version, port) in [("..1", 1), ("..2", 2)] {
        fs::create_dir(at.path(version)).unwrap();
        fs::write(at.path(version).join("c.yaml"), service(port)).unwrap();
    }
    std::os::unix::fs::symlink("..1", at.path("..data")).unwrap();
    std::os::unix::fs::symlink("..data/c.yaml", at.path("a.json.yaml")).unwrap();
    fs::remove_file(at.path("a.yaml")).unwrap();
    // The same object from another file, without a change.
    tokio::time::timeout(PATIENCE, at.batches.recv())
        .await
        .unwrap_or_default();
    std::os::unix::fs::symlink("..2", at.path("..tmp")).unwrap();
    fs::rename(at.path("..tmp"), at.path("..data")).unwrap();
    while at.next().await != Some(2) {}
}

#[test]
fn editor_temporary_files_do_not_trigger_a_full_scan() {
    use notify::event::RenameMode::{Both, From, To};
    let folder = tempfile::tempdir().unwrap();
    let [manifest, swapped, written] = ["a.yaml", "..data", ".new"].map(|name| folder.path().join(name));
    fs::write(&written, "").unwrap();
    std::os::unix::fs::symlink("..1", &swapped).unwrap();
    let away = folder.path().join(".away");
    let name = |mode| EventKind::Modify(ModifyKind::Name(mode));
    let create = EventKind::Create(CreateKind::File);
    let file = || vec![Hint::File("a.yaml".into())];
    for (kind, paths, want) in [
        (create, vec![&written], vec![]),
        (name(From), vec![&away], vec![]),
        (name(To), vec![&manifest], file()),
        (name(Both), vec![&away, &manifest], file()),
        (name(To), vec![&swapped], vec![Hint::Anything]),
        (create, vec![&swapped], vec![Hint::Anything]),
    ] {
        let event = paths
            .iter()
            .fold(Event::new(kind), |event, path| event.add_path((*path).clone()));
        assert_eq!(hints_of(&event), want, "{event:?}");
    }
}
