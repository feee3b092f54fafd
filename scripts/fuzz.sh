#!/usr/bin/env bash
# fuzz.sh [SECONDS]: runs each fuzz target that long (10 s if not said). Fails on the first crash.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

seconds=${1:-10}
[ -f fuzz/Cargo.toml ] || { echo "no fuzz targets"; exit 0; }

cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal >&2 ||
    fail "nightly Rust is missing: rustup toolchain install nightly --profile minimal"
PATH="$(scripts/cargo-tool.sh cargo-fuzz 0.13.2):$PATH"
# One target asks a real Envoy, with the real filter.
ENVOY="$(scripts/envoy.sh)"
export ENVOY
[ -f target/wasm/switchyard.wasm ] || ./wasm-build.sh >&2

for target in $(cargo +nightly fuzz list); do
    echo "fuzz: $target, $seconds s"
    # What is found goes to the first; the others are what it starts from.
    corpora=("fuzz/target/corpus/$target")
    mkdir -p "${corpora[0]}"
    [ ! -d "fuzz/corpus/$target" ] || corpora+=("fuzz/corpus/$target")
    cargo +nightly fuzz run "$target" "${corpora[@]}" -- -max_total_time="$seconds" -max_len=4096 -print_final_stats=0 -verbosity=0
done
