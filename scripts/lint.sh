#!/usr/bin/env bash
# What is checked without running anything.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
scripts/sizes.sh
cargo clippy --workspace --exclude switchyard-filter --all-targets -- -D warnings

# The filter for its own target; where rustup has no std for that, for this machine's.
. scripts/wasm-toolchain.sh
if add_wasm_target 2>/dev/null; then
    cargo clippy -p switchyard-filter --target "$wasm_target" -- -D warnings
else
    cargo clippy -p switchyard-filter -- -D warnings
fi

PATH="$(scripts/cargo-tool.sh cargo-deny 0.20.2):$PATH" cargo deny --all-features check bans licenses sources
