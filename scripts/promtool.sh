#!/usr/bin/env bash
# Prints the path of promtool: $PROMTOOL, the one on PATH, or the one of Debian's package `prometheus`, which is unpacked
# into the cache: installing it would start a server.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

unpacked="$cache/promtool/promtool"

unpack() {
    local part
    part=$(mktemp -d "$cache/promtool.part-XXXXXX")
    (cd "$part" && unpack_packages prometheus) ||
        fail "promtool is missing: apt-get install prometheus, or set PROMTOOL"
    rm -rf "$cache/promtool" "$part/usr/bin/prometheus"
    mv "$part/usr/bin" "$cache/promtool"
    rm -rf "$part"
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
