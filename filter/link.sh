#!/usr/bin/env bash
# link.sh ARGUMENT...: the linker of the filter, without the callbacks of the SDK that the filter does not handle.
#
# The SDK exports every callback of the ABI, and Envoy calls each that is exported, several times a request: entering
# the VM costs, also where nothing is then done. What is not exported here is not linked either.
set -euo pipefail

is_unhandled() {
    case $1 in
        proxy_on_configure | proxy_on_context_create | proxy_on_delete | proxy_on_tick) false ;;
        proxy_on_request_headers | proxy_on_request_trailers | proxy_on_response_headers) false ;;
        proxy_on_http_call_response | proxy_on_grpc_receive | proxy_on_grpc_close) false ;;
        proxy_on_*) true ;;
        *) false ;;
    esac
}

arguments=()
while [ $# -gt 0 ]; do
    if [ "$1" = --export ] && is_unhandled "$2"; then
        shift 2
    else
        arguments+=("$1")
        shift
    fi
done
exec rust-lld "${arguments[@]}"
