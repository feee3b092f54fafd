# The Rust that compiles for the filter's target; sourced by sh, not run. `use_wasm_toolchain` sets what cargo needs, and
# `std_flags`, which its command line is to end in.
#
# The standard library comes from rustup; where rustup cannot give it, Debian's rustc-web compiles it.
# SWITCHYARD_WASM_TOOLCHAIN=rustup|debian insists on one of the two. Needs a function `fail` of whoever sources it.

wasm_target=wasm32-unknown-unknown

# use_wasm_toolchain CRATE...: CRATEs are of the standard library, beside std itself.
use_wasm_toolchain() {
    wasm_way=${SWITCHYARD_WASM_TOOLCHAIN:-$(first_wasm_way)}
    # rust-lld, which comes with the toolchain for this machine.
    host=$(rustc -vV | sed -n 's/^host: //p')
    PATH="$(rustc --print sysroot)/lib/rustlib/$host/bin:$PATH"
    export PATH
    case $wasm_way in
        rustup) add_wasm_target || fail "no std for $wasm_target; run: rustup target add $wasm_target" ;;
        debian) use_debian "$@" ;;
        *) fail "SWITCHYARD_WASM_TOOLCHAIN is '$wasm_way': rustup or debian" ;;
    esac
}

first_wasm_way() {
    if add_wasm_target 2>/dev/null; then echo rustup; else echo debian; fi
}

# Whatever toolchain is active: one that rustup does not manage may still have the target.
add_wasm_target() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$wasm_target/lib" ] || rustup target add "$wasm_target" >&2
}

# rustc-web knows the target and brings std's source. It is a release, so it needs leave to build std.
use_debian() {
    std=/usr/lib/rustlib/src/rust/library
    [ -d "$std" ] && dpkg -s rustc-web >/dev/null 2>&1 || install_debian
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    std_flags="-Z build-std=std$(printf ',%s' "$@")"
}

install_debian() {
    [ "$(id -u)" = 0 ] || fail 'no std for the target; run: sudo apt-get install rustc-web rust-web-src'
    apt-get install -y -q rustc-web rust-web-src >&2 || fail 'apt-get install rustc-web rust-web-src failed'
}
