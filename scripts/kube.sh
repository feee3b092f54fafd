#!/usr/bin/env bash
# Prints the path of a folder with kube-apiserver, etcd and kubectl: $KUBEBUILDER_ASSETS, or what is built once, with Go,
# into the cache. No registry ships kube-apiserver as a program.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

modules="$(cd "$(dirname "$0")/kube" && pwd)"
programs="kube-apiserver etcd kubectl"
version=$(sed -n 's#^require k8s.io/kubernetes ##p' "$modules/kubernetes/go.mod")
# What was built of other sums is another folder.
sums=$(cat "$modules"/*/go.sum | sha256sum | cut -c1-12)
built="$cache/kube-$version-$sums"

complete() {
    for program in $programs; do
        [ -x "$1/$program" ] || return 1
    done
}

build() {
    local go part
    go=$("$modules/../go.sh")
    part="$built.part-$$"
    mkdir -p "$part"
    echo "building kube-apiserver, kubectl and etcd, once: about five minutes on two cores" >&2
    export CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local
    # Without its version, the server calls itself v0.0.0, and kubectl and Helm will not speak to it.
    (cd "$modules/kubernetes" && "$go" build \
        -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" \
        -o "$part/" k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl) >&2
    (cd "$modules/etcd" && "$go" build -ldflags "-s -w" -o "$part/etcd" go.etcd.io/etcd/server/v3) >&2
    rm -rf "$built"
    mv "$part" "$built"
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    complete "$KUBEBUILDER_ASSETS" || fail "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks one of: $programs"
    echo "$KUBEBUILDER_ASSETS"
else
    complete "$built" || build
    echo "$built"
fi
