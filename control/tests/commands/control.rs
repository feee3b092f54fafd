//! What `switchyard switch` asks: a real control, and one that says what a test wants.

use crate::path;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};
use tempfile::TempDir;

/// `switchyard serve`, which has read everything.
pub(crate) struct Control {
    pub(crate) url: String,
    process: Child,
    /// Holds the filter's code, which no proxy asks for.
    _folder: TempDir,
}

/// An admin interface with one kind of answer.
pub(crate) struct Fake {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

// === impl Control ===

impl Control {
    pub(crate) fn start(manifests: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let wasm = folder.path().join("switchyard.wasm");
        fs::write(&wasm, b"\0asm\x01\0\0\0").unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_switchyard"))
            .args(["serve", "--manifests", path(manifests), "--wasm", path(&wasm)])
            .args(["--xds-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"])
            .args(["--metrics-address", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let admin = admin(process.stderr.take().unwrap());
        Self {
            url: format!("http://{admin}"),
            process,
            _folder: folder,
        }
    }
}

/// Where control says that its admin interface is, when it has read everything.
fn admin(log: ChildStderr) -> String {
    let mut lines = BufReader::new(log).lines().map(Result::unwrap);
    let (mut admin, mut read) = (None, false);
    while admin.is_none() || !read {
        let line = lines.next().unwrap();
        admin = admin.or(line
            .split_once("admin=")
            .map(|(_, admin)| admin.trim().to_owned()));
        read |= line.contains("All objects are read");
    }
    // It goes on: a log that nobody reads would hold control up.
    thread::spawn(move || lines.for_each(drop));
    admin.unwrap()
}

impl Drop for Control {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

// === impl Fake ===

impl Fake {
    /// `answer` has the status and the body for a path with its query.
    pub(crate) fn start(answer: impl Fn(&str) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let noted = asked.clone();
        thread::spawn(move || {
            for (number, stream) in (1..).zip(listener.incoming()) {
                let note = |path: &str| noted.lock().unwrap().push(format!("{number} {path}"));
                converse(&stream.unwrap(), note, &answer);
            }
        });
        Self { url, asked }
    }

    /// What was asked, after the number of its connection.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers all requests of a connection; none has a body.
fn converse(mut stream: &TcpStream, note: impl Fn(&str), answer: impl Fn(&str) -> (u16, Value)) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(first)) = lines.next() {
        while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        let path = first.split(' ').nth(1).unwrap();
        note(path);
        let (status, body) = answer(path);
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status} .\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
    }
}
