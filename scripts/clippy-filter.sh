#!/usr/bin/env bash
# Clippy for what is built for WebAssembly alone.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
[ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || rustup target add "$target" ||
    fail "no std for $target; run: rustup target add $target"
cargo clippy --package switchyard-filter --target "$target" -- -D warnings
