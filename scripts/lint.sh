#!/usr/bin/env bash
# What is checked without running anything.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --all --check
scripts/sizes.sh
cargo clippy --workspace --exclude switchyard-filter --all-targets -- -D warnings
scripts/clippy-filter.sh
PATH="$(scripts/cargo-tool.sh cargo-deny 0.20.2):$PATH" cargo deny --all-features check bans licenses sources
