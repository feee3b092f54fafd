use super::*;
use std::os::unix::fs::symlink;
use switchyard_core::{Name, Object};
use tempfile::TempDir;

/// A directory on disk, and its state as it was read.
struct Fixture {
    folder: TempDir,
    directory: Directory,
    now: Instant,
}

type Edit<'e> = &'e dyn Fn(&Fixture);

// === impl Fixture ===

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            directory: Directory::new(folder.path()),
            folder,
            now: Instant::now(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn told(&mut self, names: &[&str]) -> String {
        let names = names.iter().map(|name| Arc::from(*name)).collect();
        described(self.directory.look(Look::Told(names), self.now))
    }

    fn everything(&mut self) -> String {
        described(self.directory.look(Look::Everything, self.now))
    }

    fn poll(&mut self) -> String {
        described(self.directory.look(Look::Poll, self.now))
    }

    /// Looks at doubtful files again, after their time.
    fn later(&mut self) -> String {
        self.now += GRACE;
        self.told(&[])
    }

    fn diagnostics(&self) -> Vec<String> {
        self.directory
            .diagnostics()
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

/// A batch as text: `+name=port` for applied, `-name` for deleted objects.
fn described(Batch { deleted, applied, .. }: Batch) -> String {
    let applied = applied.iter().map(|object| match object {
        Object::Service(service) => format!("+{}={}", service.name.name, service.ports[0].port),
        other => panic!("{other:?}"),
    });
    let deleted = deleted.iter().map(|id| format!("-{}", id.name.name));
    applied.chain(deleted).collect::<Vec<_>>().join(" ")
}

fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
    )
}

#[test]
fn same_files_are_read_as_by_kubectl_apply() {
    let mut at = Fixture::new();
    at.write("a.yaml", &service("a", 1));
    at.write("b.yml", &service("b", 2));
    at.write(
        "c.json",
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"c"},"spec":{"ports":[{"port":3}]}}"#,
    );
    at.write("d.yaml~", &service("d", 4));
    at.write(".e.yaml", &service("e", 5));
    fs::create_dir(at.path("f.yaml")).unwrap();
    assert_eq!(at.everything(), "+a=1 +b=2 +c=3");
    assert_eq!(at.diagnostics(), [""; 0]);
}

#[test]
fn only_differences_are_sent() {
    let mut at = Fixture::new();
    at.write("a.yaml", &[service("a", 1), service("b", 2)].join("---\n"));
    assert_eq!(at.everything(), "+a=1 +b=2");
    assert_eq!(at.everything(), "");
    at.write("a.yaml", &[service("a", 1), service("b", 3)].join("---\n"));
    assert_eq!(at.told(&["a.yaml"]), "+b=3");
    at.write("a.yaml", &service("a", 1));
    assert_eq!(at.told(&["a.yaml"]), "-b");
}

#[test]
fn bad_file_keeps_last_good_state_until_fixed() {
    let mut at = Fixture::new();
    at.write("a.yaml", &service("a", 1));
    at.write("b.yaml", &service("b", 2));
    at.everything();
    let half = [service("a", 9), "kind: [".to_owned()].join("---\n");
    at.write("a.yaml", &half);
    at.write("b.yaml", &service("b", 3));
    assert_eq!(at.told(&["a.yaml", "b.yaml"]), "+b=3");
    assert_eq!(at.diagnostics().len(), 1);
    assert!(
        at.diagnostics()[0].starts_with("a.yaml:7: not YAML"),
        "{:?}",
        at.diagnostics()
    );
    at.write("a.yaml", &service("a", 9));
    assert_eq!(at.told(&["a.yaml"]), "+a=9");
    assert_eq!(at.diagnostics(), [""; 0]);
}

#[test]
fn never_good_file_yields_its_readable_objects() {
    let mut at = Fixture::new();
    at.write(
        "a.yaml",
        &[service("a", 1), service("b", 0), service("c", 3)].join("---\n"),
    );
    assert_eq!(at.everything(), "+a=1 +c=3");
}

#[test]
fn file_moved_away_and_rewritten_is_not_deleted() {
    let mut at = Fixture::new();
    at.write("a.yaml", &service("a", 1));
    at.everything();
    fs::rename(at.path("a.yaml"), at.path("a.yaml~")).unwrap();
    assert_eq!(at.told(&["a.yaml"]), "");
    at.write("a.yaml", &service("a", 2));
    assert_eq!(at.told(&["a.yaml"]), "+a=2");
    assert_eq!(at.later(), "");
}

#[test]
fn removed_or_empty_file_drops_its_objects_after_a_delay() {
    for remove in [true, false] {
        let mut at = Fixture::new();
        at.write("a.yaml", &service("a", 1));
        at.everything();
        if remove {
            fs::remove_file(at.path("a.yaml")).unwrap();
        } else {
            at.write("a.yaml", "");
        }
        assert_eq!(at.told(&["a.yaml"]), "", "remove: {remove}");
        assert!(at.directory.due().is_some());
        assert_eq!(at.later(), "-a", "remove: {remove}");
        assert_eq!(at.directory.due(), None);
    }
}

#[test]
fn renamed_file_keeps_its_objects() {
    let mut at = Fixture::new();
    at.write("b.yaml", &service("a", 1));
    at.everything();
    for (from, to) in [("b.yaml", "c.yaml"), ("c.yaml", "a.yaml")] {
        fs::rename(at.path(from), at.path(to)).unwrap();
        assert_eq!(at.told(&[from, to]), "");
        assert_eq!(at.diagnostics(), [""; 0]);
        assert_eq!(at.later(), "");
        assert_eq!(at.directory.entries().count(), 1);
    }
}

#[test]
fn published_locations_follow_the_current_file() {
    let mut at = Fixture::new();
    let locations = at.directory.published();
    let name = Name::new("default", "r");
    let route = "apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata: {name: r}\nspec: {}\n";
    at.write("b.yaml", route);
    at.write("s.yaml", &service("r", 1));
    let rename = |from, to| move |at: &Fixture| fs::rename(at.path(from), at.path(to)).unwrap();
    let remove = |at: &Fixture| fs::remove_file(at.path("a.yaml")).unwrap();
    let bad = |at: &Fixture| at.write("a.yaml", "kind: [");
    let steps: [(Edit<'_>, _); 5] = [
        (&|_| (), Some("b.yaml")),
        (&rename("b.yaml", "c.yaml"), Some("c.yaml")),
        (&rename("c.yaml", "a.yaml"), Some("a.yaml")),
        (&bad, Some("a.yaml")),
        (&remove, None),
    ];
    for (step, (edit, want)) in steps.into_iter().enumerate() {
        edit(&at);
        for _ in 0..2 {
            at.directory.look(Look::Everything, at.now);
            at.now += GRACE;
        }
        assert_eq!(locations.file(&name).as_deref(), want, "step {step}");
        let line = locations.line(&name, "metadata.name.x");
        let line = line.as_ref().map(|(file, line)| (&**file, *line));
        assert_eq!(line, want.map(|file| (file, 3)), "step {step}");
    }
    // The object has moved within its file, without other changes.
    for head in ["# one more\n", "# one more\n# and another\n"] {
        at.write("a.yaml", &format!("{head}{route}"));
        at.directory.look(Look::Everything, at.now);
    }
    assert_eq!(locations.line(&name, "spec").unwrap().1, 6);
}

#[test]
fn duplicate_object_uses_first_file_and_names_both() {
    let mut at = Fixture::new();
    at.write("b.yaml", &service("s", 2));
    assert_eq!(at.everything(), "+s=2");
    at.write("a.yaml", &["# first\n".to_owned(), service("s", 1)].concat());
    assert_eq!(at.told(&["a.yaml"]), "+s=1");
    let want = "b.yaml:3: Service default/s: metadata.name: also defined in a.yaml:4, which takes precedence: \
                remove one";
    assert_eq!(at.diagnostics(), [want]);
    at.write("b.yaml", &service("s", 3));
    assert_eq!(at.told(&["b.yaml"]), "");
    fs::remove_file(at.path("a.yaml")).unwrap();
    at.told(&["a.yaml"]);
    assert_eq!(at.later(), "+s=3");
    assert_eq!(at.diagnostics(), [""; 0]);
}

#[test]
fn mounted_config_map_changes_on_symlink_swap() {
    let mut at = Fixture::new();
    for (version, port) in [("..1", 1), ("..2", 2)] {
        fs::create_dir(at.path(version)).unwrap();
        at.write(&format!("{version}/a.yaml"), &service("a", port));
    }
    symlink("..1", at.path("..data")).unwrap();
    symlink("..data/a.yaml", at.path("a.yaml")).unwrap();
    assert_eq!(at.everything(), "+a=1");
    symlink("..2", at.path("..tmp")).unwrap();
    fs::rename(at.path("..tmp"), at.path("..data")).unwrap();
    assert_eq!(at.everything(), "+a=2");
}

#[test]
fn poll_skips_recently_written_files() {
    let mut at = Fixture::new();
    at.write("a.yaml", &service("a", 1));
    at.everything();
    at.write("a.yaml", &service("a", 22));
    assert_eq!(at.poll(), "");
    let past = SystemTime::now() - 2 * SETTLED;
    fs::File::options()
        .write(true)
        .open(at.path("a.yaml"))
        .unwrap()
        .set_modified(past)
        .unwrap();
    assert_eq!(at.poll(), "+a=22");
}

#[test]
fn unlistable_directory_keeps_all_objects() {
    let mut at = Fixture::new();
    at.write("a.yaml", &service("a", 1));
    at.everything();
    let away = at.folder.path().with_extension("away");
    fs::rename(at.folder.path(), &away).unwrap();
    assert_eq!(at.poll(), "");
    assert!(
        at.diagnostics()[0].contains("cannot be listed"),
        "{:?}",
        at.diagnostics()
    );
    fs::rename(&away, at.folder.path()).unwrap();
    assert_eq!(at.poll(), "");
    assert_eq!(at.diagnostics(), [""; 0]);
}

#[test]
fn non_utf8_file_is_a_bad_file() {
    let mut at = Fixture::new();
    at.write("a.yaml", &service("a", 1));
    at.everything();
    fs::write(at.path("a.yaml"), b"\xff\xfe").unwrap();
    assert_eq!(at.told(&["a.yaml"]), "");
    assert!(at.diagnostics()[0].contains("UTF-8"), "{:?}", at.diagnostics());
}
