#!/usr/bin/env bash
# Runs a command in a network namespace of its own, in which every address of 10.244.0.0/16 is this machine: a
# cluster's pods. An API server takes no loopback address for an endpoint. Nothing outside can be reached, and what the
# command started ends with it. These names have addresses there: upstream.example a pod's, rebound.example loopback,
# metadata.example that of a cloud's metadata.
#
# usage: scripts/netns.sh COMMAND...
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need unshare util-linux
command -v ip >/dev/null || install_package iproute2

if [ "$(id -u)" = 0 ]; then
    new=(unshare --net --mount --pid --fork --kill-child --mount-proc)
else
    new=(unshare --user --map-root-user --net --mount --pid --fork --kill-child --mount-proc)
fi
# shellcheck disable=SC2016 # For the inner shell to expand.
exec "${new[@]}" bash -euc '
    ip link set lo up
    ip address add 10.244.255.1/32 dev lo
    ip route add local 10.244.0.0/16 dev lo
    hosts=$(mktemp)
    cat /etc/hosts - >"$hosts" <<END
10.244.0.1 upstream.example
127.0.0.1 rebound.example
::1 rebound.example
169.254.169.254 metadata.example
END
    chmod 644 "$hosts"
    mount --bind "$hosts" /etc/hosts
    rm "$hosts"
    exec "$@"' netns "$@"
