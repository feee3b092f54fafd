#!/bin/sh
# Builds the filter: target/wasm/switchyard.wasm. Prints its size and sha256.
#
# SWITCHYARD_WASM_TOOLCHAIN=rustup|debian insists on a toolchain (scripts/wasm-toolchain.sh).
# One toolchain gives the same bytes wherever the repository and the build directory are.
set -eu
cd "$(dirname "$0")"

max_size=409600
out=target/wasm/switchyard.wasm
build_dir=${CARGO_TARGET_DIR:-target}/wasm-build
# What Envoy calls. Any other callback that were exported would be called, too, for nothing.
exports="memory malloc proxy_abi_version_0_2_1 proxy_on_configure=switchyard_on_configure
    proxy_on_request_headers=switchyard_on_request_headers proxy_on_response_headers=switchyard_on_response_headers
    proxy_on_http_call_response=switchyard_on_http_call_response proxy_on_grpc_receive=switchyard_on_grpc_receive
    proxy_on_grpc_close=switchyard_on_grpc_close proxy_on_delete=switchyard_on_delete
    proxy_on_tick=switchyard_on_tick"

. scripts/wasm-toolchain.sh

main() {
    use_wasm_toolchain panic_abort
    # What one compiler made is nothing to the other.
    [ "$wasm_way" = rustup ] || build_dir=$build_dir-$wasm_way
    build
    check_size
    sha256sum "$out"
}

# Paths go into panic messages; these are the ones that differ from machine to machine.
build() {
    sysroot=$("${RUSTC:-rustc}" --print sysroot)
    RUSTFLAGS="--remap-path-prefix=$PWD=/switchyard"
    RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rust"
    # SHA-2 in loops: written out, it is 14 KB more.
    RUSTFLAGS="$RUSTFLAGS --cfg sha2_backend_soft=\"compact\""
    export RUSTFLAGS
    # shellcheck disable=SC2086 # Two words, or none.
    cargo build --locked --package switchyard-filter --profile wasm --target "$wasm_target" \
        --target-dir "$build_dir" ${std_flags:-}
    mkdir -p "$(dirname "$out")"
    # shellcheck disable=SC2086 # One word each.
    scripts/wasm-exports.py "$build_dir/$wasm_target/wasm/switchyard_filter.wasm" "$out.new" $exports
    mv "$out.new" "$out"
}

check_size() {
    size=$(wc -c <"$out")
    echo "$out: $size bytes"
    [ "$size" -le "$max_size" ] || fail "larger than $max_size bytes"
}

fail() {
    echo "wasm-build.sh: $1" >&2
    exit 1
}

main
