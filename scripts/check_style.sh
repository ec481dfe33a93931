#!/usr/bin/env bash
# The rules of the house that a machine can check: the format, and what scripts/check_style.py looks for.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
if ! command -v clang-format >/dev/null; then
    echo "check_style.sh: clang-format is missing; scripts/setup.sh installs it" >&2
    exit 1
fi

mapfile -t files < <(python3 scripts/check_style.py --list)
if [[ ${#files[@]} -eq 0 ]]; then
    echo "check_style.sh: found no files to check" >&2
    exit 1
fi
for file in "${files[@]}"; do
    # One line a file: the way to mend it is the same for any number of differences.
    if ! clang-format --dry-run -Werror "$file" >/dev/null 2>&1; then
        echo "$file:1: is not formatted; run clang-format -i $file"
        status=1
    fi
done
python3 scripts/check_style.py || status=1
exit "$status"
