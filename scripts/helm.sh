#!/usr/bin/env bash
# Prints the path of helm: $HELM, or what is built once, with Go, into the cache.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

module="$(cd "$(dirname "$0")/helm" && pwd)"
version=$(sed -n 's#^require helm.sh/helm/v3 ##p' "$module/go.mod")
# What was built of other sums is another folder.
built="$cache/helm-$version-$(sha256sum "$module/go.sum" | cut -c1-12)"

build() {
    local go part="$built.part-$$"
    go=$("$(dirname "$0")/go.sh")
    mkdir -p "$part"
    echo "building helm, once: about a minute on two cores" >&2
    # Without them helm takes itself for one of an old Kubernetes.
    local chartutil=helm.sh/helm/v3/pkg/chartutil kubernetes
    kubernetes=$(sed -nE 's#^\tk8s.io/client-go v0\.([0-9]+)\..*#\1#p' "$module/go.mod")
    (cd "$module" && CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local "$go" build \
        -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=$version
            -X $chartutil.k8sVersionMajor=1 -X $chartutil.k8sVersionMinor=$kubernetes" \
        -o "$part/helm" helm.sh/helm/v3/cmd/helm) >&2
    rm -rf "$built"
    mv "$part" "$built"
}

if [ -n "${HELM:-}" ]; then
    [ -x "$HELM" ] || fail "HELM=$HELM is no program"
    echo "$HELM"
else
    [ -x "$built/helm" ] || build
    echo "$built/helm"
fi
