#!/usr/bin/env bash
# Runs the tests of switchyard-policy as they run in a proxy: compiled to WebAssembly, here under Node.js.
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown

fail() {
    echo "node-tests.sh: $1" >&2
    exit 1
}

command -v node >/dev/null || fail "Node.js is missing; run: apt-get install nodejs"
[ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || rustup target add "$target" ||
    fail "no std for $target; run: rustup target add $target"

# The runner and the library have to be of one version: the one in the lock file.
version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
PATH="$(scripts/cargo-tool.sh wasm-bindgen-cli "$version"):$PATH"

export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner
cargo test --package switchyard-policy --lib --target "$target"
