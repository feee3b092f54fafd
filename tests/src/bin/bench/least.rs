//! The least that a filter with our callbacks can do: what a cost would be if ours cost nothing beyond that.

use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Asks for the name of the route of each request, as whoever is to know what to do has to, and does nothing with it; then has
/// each tenth copied, to a cluster whose name is `CLUSTER`, `LEN` bytes long. It has the callbacks that a filter needs which says
/// something on some answers, and knows when a request has ended.
const MODULE: &str = r#"(module
    (import "env" "proxy_get_property" (func $get_property (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_replace_header_map_value" (func $set_header (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 256) "xds\00route_name")
    (data (i32.const 512) "x-switchyard-mirror-0")
    (data (i32.const 768) "CLUSTER")
    (global $turn (mut i32) (i32.const 0))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 4096))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $get_property (i32.const 256) (i32.const 14) (i32.const 16) (i32.const 20)))
        (global.set $turn (i32.rem_u (i32.add (global.get $turn) (i32.const 1)) (i32.const 10)))
        (if (i32.eqz (global.get $turn)) (then
            (drop (call $set_header (i32.const 0) (i32.const 512) (i32.const 21) (i32.const 768) (i32.const LEN)))))
        (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))
    (func (export "proxy_on_delete") (param i32)))"#;

/// Writes it into the directory, and gives the path.
pub(crate) fn module(dir: &Path, cluster: &str) -> Result<PathBuf> {
    let text = MODULE
        .replace("CLUSTER", cluster)
        .replace("LEN", &cluster.len().to_string());
    let path = dir.join("least.wasm");
    fs::write(&path, wat::parse_str(text)?).with_context(|| path.display().to_string())?;
    Ok(path)
}
