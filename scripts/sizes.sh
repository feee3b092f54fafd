#!/usr/bin/env bash
# No source file is longer than 600 lines. (Functions: clippy's too_many_lines.)
set -euo pipefail
cd "$(dirname "$0")/.."

limit=600
git ls-files --cached --others --exclude-standard '*.rs' '*.sh' '*.py' |
    xargs -r -d '\n' wc -l |
    awk -v limit="$limit" '$2 != "total" && $1 > limit { print $2 ": " $1 " lines, more than " limit; bad = 1 } END { exit bad }'
