#!/usr/bin/env bash
# cargo-tool.sh CRATE VERSION [OPTION...]: prints the folder that holds the crate's binaries, which are built into the cache
# when they are first needed, with these options of `cargo install`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

crate=$1 version=$2
shift 2
options=("$@")
built="$cache/$crate-$version"

install() { cargo install --quiet --root "$part" "${options[@]}" "$@" "$crate@$version" >&2; }

# In another folder first: cargo marks one as installed to before it has built anything.
if [ ! -d "$built/bin" ]; then
    part="$built.part-$$"
    # Not every release's lock file still resolves; without it cargo chooses.
    install --locked || install
    rm -rf "$built"
    mv "$part" "$built"
fi
echo "$built/bin"
