#!/usr/bin/env bash
# cargo-tool.sh CRATE VERSION: prints the folder that holds the crate's binaries, which are built into the cache when
# they are first needed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

crate=$1 version=$2
root="$cache/$crate-$version"

if [ ! -f "$root/.crates.toml" ]; then
    # Not every release's lock file still resolves; without it cargo chooses.
    cargo install --quiet --root "$root" --locked "$crate@$version" >&2 ||
        cargo install --quiet --root "$root" "$crate@$version" >&2
fi
echo "$root/bin"
