#!/usr/bin/env bash
# Runs the tests of switchyard-policy as they run in a proxy: compiled to WebAssembly, here under Node.js.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "node-tests.sh: $1" >&2
    exit 1
}

. scripts/wasm-toolchain.sh
command -v node >/dev/null || fail "Node.js is missing; run: apt-get install nodejs"

# The runner and the library have to be of one version: the one in the lock file. It is built for this machine, so before
# the toolchain is another.
version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
PATH="$(scripts/cargo-tool.sh wasm-bindgen-cli "$version"):$PATH"
use_wasm_toolchain panic_abort test panic_unwind

export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner
# What one compiler made is nothing to the other.
dir=${CARGO_TARGET_DIR:-target}
[ "$wasm_way" = rustup ] || dir=$dir/$wasm_way
# shellcheck disable=SC2086 # Two words, or none.
cargo test --package switchyard-policy --lib --target "$wasm_target" --target-dir "$dir" ${std_flags:-}
