#!/usr/bin/env bash
# The filter, built again in another folder, is the same to the byte.
set -euo pipefail
cd "$(dirname "$0")/.."

wasm=target/wasm/switchyard.wasm
first=$(sha256sum "$wasm")
elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
CARGO_TARGET_DIR="$elsewhere" ./wasm-build.sh
[ "$first" = "$(sha256sum "$wasm")" ] || { echo "$wasm: two builds, two hashes" >&2; exit 1; }
echo "$wasm: two builds, one hash"
