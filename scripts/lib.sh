# What the scripts share; sourced, not run.

# What is got once and kept: outside the repository, so that a fresh checkout finds it.
# shellcheck disable=SC2034
cache="${XDG_CACHE_HOME:-$HOME/.cache}/switchyard"

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# need COMMAND PACKAGE: fails with the line that installs it.
need() { command -v "$1" >/dev/null || fail "$1 is missing: apt-get install $2"; }

# install_package NAME: a Debian package, as root; anyone else is told the command.
install_package() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "$1 is missing: apt-get install $1"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1"; } >&2
}

# unpack_packages NAME...: Debian packages of this machine's release, their files under the folder where it runs; nothing
# is installed. Fails where there is no apt, and no package of that name.
unpack_packages() {
    command -v apt-get >/dev/null && download_packages "$@" || return 1
    local package
    for package in ./*.deb; do
        dpkg-deb --extract "$package" . && rm "$package" || return 1
    done
}

# As root, apt would step down to a user who may not write here. A machine that is new has no lists yet.
download_packages() {
    local options=(-qq -o APT::Sandbox::User=root)
    {
        apt-get "${options[@]}" download "$@" ||
            { [ "$(id -u)" = 0 ] && apt-get -qq update && apt-get "${options[@]}" download "$@"; }
    } >&2
}
