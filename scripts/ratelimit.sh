#!/usr/bin/env bash
# Prints the path of envoyproxy/ratelimit's server: $RATELIMIT, or what is built once, with Go, into the cache. No
# registry ships it as a program.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

module="$(cd "$(dirname "$0")/ratelimit" && pwd)"
ratelimit=github.com/envoyproxy/ratelimit
version=$(sed -n "s#^require $ratelimit ##p" "$module/go.mod")
# What was built of other sums is another folder.
built="$cache/ratelimit-$version-$(sha256sum "$module/go.sum" | cut -c1-12)"

build() {
    local go part="$built.part-$$"
    go=$("$(dirname "$0")/go.sh")
    mkdir -p "$part"
    echo "building ratelimit, once: about half a minute on two cores" >&2
    (cd "$module" && CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local "$go" build \
        -ldflags "-s -w" -o "$part/ratelimit" "$ratelimit/src/service_cmd") >&2
    rm -rf "$built"
    mv "$part" "$built"
}

if [ -n "${RATELIMIT:-}" ]; then
    [ -x "$RATELIMIT" ] || fail "RATELIMIT=$RATELIMIT is no program"
    echo "$RATELIMIT"
else
    [ -x "$built/ratelimit" ] || build
    echo "$built/ratelimit"
fi
