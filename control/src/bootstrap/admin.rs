//! The address of Envoy's admin interface. Anyone who can reach it can stop Envoy, and read the configuration of every
//! tenant.

use super::endpoint::Endpoint;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The address of Envoy's admin interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// A Unix domain socket beside the bootstrap, which no upstream can address.
    Socket,
    Tcp(Endpoint),
}

/// The name of the socket, beside the bootstrap.
const SOCKET: &str = "admin.sock";
/// The mode of the socket, which only Envoy's user can access.
const MODE: u32 = 0o600;
/// The maximum length of a socket's path in bytes (`sun_path` of unix(7), without the terminating zero).
const LONGEST: usize = 107;

// === impl AdminAddress ===

impl AdminAddress {
    /// The `Address` to listen on. `folder` is that of the bootstrap.
    ///
    /// # Errors
    ///
    /// If the path of the socket would be too long.
    pub(super) fn listen(&self, folder: &Path) -> Result<Value> {
        let Self::Tcp(endpoint) = self else {
            let path = socket(folder)?;
            return Ok(json!({"pipe": {"path": path, "mode": MODE}}));
        };
        Ok(endpoint.address())
    }

    /// The `Address` to connect to.
    ///
    /// # Errors
    ///
    /// If the path of the socket would be too long.
    pub(super) fn connect(&self, folder: &Path) -> Result<Value> {
        let Self::Tcp(endpoint) = self else {
            return Ok(json!({"pipe": {"path": socket(folder)?}}));
        };
        Ok(endpoint.address())
    }
}

fn socket(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(SOCKET);
    let length = path.as_os_str().as_bytes().len();
    ensure!(
        length <= LONGEST,
        "--out: the path of Envoy's admin socket, {}, has {length} bytes, and the maximum is {LONGEST}: choose a \
         directory with a shorter path, or use --admin-address",
        path.display()
    );
    Ok(path)
}
