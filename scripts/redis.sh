#!/usr/bin/env bash
# Prints the path of a redis-server of version 7 or later: $REDIS, the one on PATH, or the one of Debian, which is unpacked
# into the cache, with the libraries that it wants: installing it would start a server.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

unpacked="$cache/redis"

recent() {
    local major
    major=$("$1" --version 2>/dev/null | sed -nE 's/.* v=([0-9]+)\..*/\1/p')
    [ -n "$major" ] && [ "$major" -ge 7 ]
}

# The server is the program of redis-tools by another name; the package redis-server is the service around it.
unpack() {
    local part libraries missing="redis-server 7 is missing: apt-get install redis-server, or set REDIS"
    part=$(mktemp -d "$cache/redis.part-XXXXXX")
    (cd "$part" && unpack_packages redis-tools) || fail "$missing"
    libraries=$(apt-cache depends redis-tools | sed -nE 's/^ *Depends: (lib.*)/\1/p' | grep -vx libc6)
    # shellcheck disable=SC2086 # Words of a command line.
    (cd "$part" && unpack_packages $libraries) || fail "$missing"
    mkdir "$part/kept" "$part/kept/lib"
    mv "$part/usr/bin/redis-check-rdb" "$part/kept/lib/redis-server"
    find "$part" -path "$part/kept" -prune -o -name '*.so*' -exec mv -t "$part/kept/lib" {} +
    cat >"$part/kept/redis-server" <<'EOF'
#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH="$here/lib" exec "$here/lib/redis-server" "$@"
EOF
    chmod 755 "$part/kept/redis-server"
    recent "$part/kept/redis-server" || fail "$missing"
    rm -rf "$unpacked"
    mv "$part/kept" "$unpacked"
    rm -rf "$part"
}

if [ -n "${REDIS:-}" ]; then
    recent "$REDIS" || fail "REDIS=$REDIS is no redis-server 7 or later"
    echo "$REDIS"
elif path=$(command -v redis-server) && recent "$path"; then
    echo "$path"
else
    [ -x "$unpacked/redis-server" ] || { mkdir -p "$cache" && unpack; }
    echo "$unpacked/redis-server"
fi
