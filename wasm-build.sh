#!/bin/sh
# Builds the filter: target/wasm/switchyard.wasm. Prints its size and sha256.
#
# SWITCHYARD_WASM_TOOLCHAIN=rustup|debian insists on a toolchain (scripts/wasm-toolchain.sh).
# One toolchain gives the same bytes wherever the repository and the build directory are.
set -eu
cd "$(dirname "$0")"

max_size=1048576
out=target/wasm/switchyard.wasm
build_dir=${CARGO_TARGET_DIR:-target}/wasm-build
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
    # The linker leaves room for each number that it fills in.
    RUSTFLAGS="$RUSTFLAGS -C link-arg=--compress-relocations"
    export RUSTFLAGS CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$PWD/filter/link.sh"
    # shellcheck disable=SC2086 # Two words, or none.
    cargo build --locked --package switchyard-filter --profile wasm --target "$wasm_target" \
        --target-dir "$build_dir" ${std_flags:-}
    mkdir -p "$(dirname "$out")"
    cp "$build_dir/$wasm_target/wasm/switchyard_filter.wasm" "$out.new"
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
