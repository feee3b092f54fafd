#!/usr/bin/env bash
# Prints the path of a folder with contour and its CRDs, crds.yaml: $CONTOUR, or what is built once, with Go, into the
# cache. For make bench-cluster, which measures beside it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

module="$(cd "$(dirname "$0")/contour" && pwd)"
contour=github.com/projectcontour/contour
version=$(sed -n "s#^require $contour ##p" "$module/go.mod")
# What was built of other sums is another folder.
built="$cache/contour-$version-$(sha256sum "$module/go.sum" | cut -c1-12)"

build() {
    local go source part="$built.part-$$"
    go=$("$(dirname "$0")/go.sh")
    mkdir -p "$part"
    echo "building contour, once: about two minutes on two cores" >&2
    export CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local
    (cd "$module" && "$go" build -ldflags "-s -w" -o "$part/contour" "$contour/cmd/contour") >&2
    source=$(cd "$module" && "$go" list -m -f '{{.Dir}}' "$contour")
    install -m 644 "$source/examples/contour/01-crds.yaml" "$part/crds.yaml"
    rm -rf "$built"
    mv "$part" "$built"
}

if [ -n "${CONTOUR:-}" ]; then
    [ -x "$CONTOUR/contour" ] && [ -f "$CONTOUR/crds.yaml" ] || fail "CONTOUR=$CONTOUR lacks contour or crds.yaml"
    echo "$CONTOUR"
else
    [ -x "$built/contour" ] || build
    echo "$built"
fi
