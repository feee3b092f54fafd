//! The paths of the parts under test.

use anyhow::{Context, Result, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The root folder of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The control binary: `$SWITCHYARD_BIN`, or the one next to the running program.
pub fn switchyard() -> Result<PathBuf> {
    let path = match env::var_os("SWITCHYARD_BIN") {
        Some(path) => path.into(),
        None => profile_dir()?.join("switchyard"),
    };
    existing(&path, "cargo build -p switchyard")
}

/// The filter: `$SWITCHYARD_WASM`, or the output of `wasm-build.sh`.
pub fn wasm() -> Result<PathBuf> {
    let path = match env::var_os("SWITCHYARD_WASM") {
        Some(path) => path.into(),
        None => repository().join("target/wasm/switchyard.wasm"),
    };
    existing(&path, "make wasm")
}

/// Envoy: the path that `scripts/envoy.sh` prints, which is `$ENVOY` if that is set.
pub fn envoy() -> Result<PathBuf> {
    if let Some(path) = env::var_os("ENVOY") {
        return existing(Path::new(&path), "make envoy");
    }
    let output = Command::new(repository().join("scripts/envoy.sh"))
        .output()
        .context("scripts/envoy.sh")?;
    ensure!(
        output.status.success(),
        "scripts/envoy.sh: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// Creates an empty folder under the target folder. Its contents stay until the next run with the same name.
pub fn scratch(name: &str) -> Result<PathBuf> {
    let path = profile_dir()?.join("e2e").join(name.replace("::", "/"));
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// The folder of this build's binaries, above `deps`, which holds the test binaries.
fn profile_dir() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let dir = program.parent().context("a program lies in a folder")?;
    Ok(if dir.ends_with("deps") {
        dir.join("..")
    } else {
        dir.to_owned()
    })
}

fn existing(path: &Path, remedy: &str) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("{} is missing: {remedy}", path.display()))
}
