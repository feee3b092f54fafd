//! The filter's code.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The content of `switchyard.wasm`.
#[derive(Clone, Debug)]
pub struct Wasm {
    pub bytes: Vec<u8>,
    /// The hash of the code, in lower-case hexadecimal.
    pub sha256: String,
}

// === impl Wasm ===

impl Wasm {
    /// Reads the code from `path`, or else from `switchyard.wasm` beside this program.
    ///
    /// # Errors
    ///
    /// If the file does not exist, or is not a WebAssembly module.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => beside_this_program()?,
        };
        let bytes = fs::read(&path).with_context(|| {
            let path = path.display();
            format!(
                "cannot read the filter {path}: build it with wasm-build.sh, and pass it with --wasm FILE"
            )
        })?;
        ensure!(
            bytes.starts_with(b"\0asm"),
            "{} is not a WebAssembly module",
            path.display()
        );
        let sha256 = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self { bytes, sha256 })
    }
}

fn beside_this_program() -> Result<PathBuf> {
    let program =
        env::current_exe().context("cannot locate this program: pass the filter with --wasm FILE")?;
    Ok(program.with_file_name("switchyard.wasm"))
}
