#!/usr/bin/env bash
# Prints the path of Node.js, which is installed when it is missing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

command -v node >/dev/null || install_package nodejs
command -v node
