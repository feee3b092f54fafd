#!/usr/bin/env bash
# Prints the path of promtool: $PROMTOOL, the one on PATH, or the one of Debian's package `prometheus`, which is unpacked
# into the cache: installing it would start a server.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

unpacked="$cache/promtool/promtool"

unpack() {
    command -v apt-get >/dev/null || fail "promtool is missing: set PROMTOOL, or put it on PATH"
    local part
    part=$(mktemp -d "$cache/promtool.part-XXXXXX")
    # As root, apt would step down to a user who may not write here.
    (cd "$part" && { apt-get -qq -o APT::Sandbox::User=root download prometheus ||
        { [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get -qq -o APT::Sandbox::User=root download prometheus; }; }) >&2 ||
        fail "promtool is missing: apt-get install prometheus"
    dpkg-deb --fsys-tarfile "$part"/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$part/promtool"
    rm "$part"/prometheus_*.deb
    chmod 755 "$part" "$part/promtool"
    rm -rf "$cache/promtool"
    mv "$part" "$cache/promtool"
}

if [ -n "${PROMTOOL:-}" ]; then
    [ -x "$PROMTOOL" ] || fail "PROMTOOL=$PROMTOOL is no program"
    echo "$PROMTOOL"
elif command -v promtool >/dev/null; then
    command -v promtool
else
    [ -x "$unpacked" ] || { mkdir -p "$cache" && unpack; }
    echo "$unpacked"
fi
