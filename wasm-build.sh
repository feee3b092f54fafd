#!/bin/sh
# Builds the filter: target/wasm/switchyard.wasm. Prints its size and sha256.
#
# The standard library for wasm32-unknown-unknown comes from rustup; where rustup cannot give it, Debian's rustc-web
# compiles it. SWITCHYARD_WASM_TOOLCHAIN=rustup|debian insists on one of the two.
# One toolchain gives the same bytes wherever the repository and the build directory are.
set -eu
cd "$(dirname "$0")"

target=wasm32-unknown-unknown
max_size=409600
out=target/wasm/switchyard.wasm
build_dir=${CARGO_TARGET_DIR:-target}/wasm-build
# What Envoy calls. Any other callback that were exported would be called, too, for nothing.
exports="memory malloc proxy_abi_version_0_2_1 _initialize proxy_on_vm_start proxy_on_configure
    proxy_on_context_create proxy_on_request_headers proxy_on_response_headers proxy_on_delete"

main() {
    way=${SWITCHYARD_WASM_TOOLCHAIN:-$(first_way)}
    case $way in
        rustup) add_target || fail "rustup cannot add $target" ;;
        debian) use_debian ;;
        *) fail "SWITCHYARD_WASM_TOOLCHAIN is '$way': rustup or debian" ;;
    esac
    build
    check_size
    sha256sum "$out"
}

first_way() {
    if add_target 2>/dev/null; then echo rustup; else echo debian; fi
}

# Whatever toolchain is active: one that rustup does not manage may still have the target.
add_target() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || rustup target add "$target" >&2
}

# rustc-web knows the target and brings std's source. It is a release, so it needs leave to build std; and it has no
# linker of its own: rustup's toolchain for the host has one.
use_debian() {
    std=/usr/lib/rustlib/src/rust/library
    [ -d "$std" ] && dpkg -s rustc-web >/dev/null 2>&1 || install_debian
    host=$(rustc -vV | sed -n 's/^host: //p')
    PATH="$(rustc --print sysroot)/lib/rustlib/$host/bin:$PATH"
    export PATH RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    build_dir=$build_dir-debian
    std_flags='-Z build-std=std,panic_abort'
}

install_debian() {
    [ "$(id -u)" = 0 ] || fail 'no std for the target; run: sudo apt-get install rustc-web rust-web-src'
    apt-get install -y -q rustc-web rust-web-src >&2 || fail 'apt-get install rustc-web rust-web-src failed'
}

# Paths go into panic messages; these are the ones that differ from machine to machine.
build() {
    sysroot=$("${RUSTC:-rustc}" --print sysroot)
    RUSTFLAGS="--remap-path-prefix=$PWD=/switchyard"
    RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rust"
    export RUSTFLAGS
    # shellcheck disable=SC2086 # Two words, or none.
    cargo build --locked --package switchyard-filter --profile wasm --target "$target" \
        --target-dir "$build_dir" ${std_flags:-}
    mkdir -p "$(dirname "$out")"
    # shellcheck disable=SC2086 # One word each.
    scripts/wasm-exports.py "$build_dir/$target/wasm/switchyard_filter.wasm" "$out.new" $exports
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
