#!/usr/bin/env bash
# Renders deploy/switchyard.yaml from the chart.
#
# usage: scripts/render.sh            writes it
#        scripts/render.sh --check    fails if it is not current; and lints the chart, with several sets of values
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

chart=deploy/helm/switchyard
rendered=deploy/switchyard.yaml
namespace=switchyard
helm=$(scripts/helm.sh)

# The chart shares files with the repository by links, which helm tells of each time.
quiet() { grep -v 'found symbolic link in path' >&2 || true; }

template() { "$helm" template switchyard "$chart" --namespace "$namespace" "$@" 2> >(quiet); }

render() {
    cat <<EOF
# Switchyard, whole: kubectl apply -f switchyard.yaml
#
# Rendered from the Helm chart, deploy/helm/switchyard, by make deploy. The image is the one that the Dockerfile makes:
# push it to your registry, and put its name in the place of switchyard:VERSION.
---
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
EOF
    template --set-string image.tag= |
        sed '/managed-by: Helm$/d; /^# Source: /d' |
        sed -z 's/  annotations:\n    helm.sh\/resource-policy: keep\n//g'
}

# Each line is a set of values that must render, or must not.
good='--set envoy.kind=Deployment --set envoy.hostPorts.enabled=false --set envoy.service.type=ClusterIP
--set control.watchNamespaces={a,b} --set control.rootNamespaces={a} --set control.ingressClassName=edge
--set certgen.enabled=false --set networkPolicy.enabled=false --set crds.install=false
--set grafana.dashboard=true --set prometheus.annotations=false --set envoy.concurrency=4
--set control.routeBuckets=1 --set control.allowExternalNames=true --set networkPolicy.metricsFrom[0].ipBlock.cidr=192.0.2.0/24
--set imagePullSecrets={one} --set control.tolerations[0].operator=Exists --set control.nodeSelector.a=b'
bad='--set control.replicas=0
--set control.replicas=two
--set control.minimumTls=1.4
--set control.routeBuckets=3
--set control.extraArgs={insecure}
--set control.watchNamespaces={Not_A_Name}
--set envoy.kind=StatefulSet
--set envoy.hostPorts.http=70000
--set envoy.shutdown.maxWaitSeconds=0
--set certgen.lifetime=forever
--set image.repository=
--set nonsense=1
--set control.nonsense=1'

check() {
    local values
    "$helm" lint --strict --quiet "$chart" 2> >(quiet)
    while read -r values; do
        # shellcheck disable=SC2086 # Words of a command line.
        template $values >/dev/null || fail "the chart cannot be rendered with $values"
    done <<<"$good"
    while read -r values; do
        # shellcheck disable=SC2086
        if "$helm" template switchyard "$chart" $values >/dev/null 2>&1; then
            fail "values.schema.json does not refuse $values"
        fi
    done <<<"$bad"
    diff -u "$rendered" <(render) || fail "$rendered is not current: make deploy"
}

case "${1:-}" in
--check) check ;;
"") render >"$rendered.part" && mv "$rendered.part" "$rendered" ;;
*) fail "usage: scripts/render.sh [--check]" ;;
esac
