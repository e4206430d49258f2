#!/usr/bin/env bash
# Lays out all C and C++ files as .clang-format says.
#   scripts/format.sh            rewrites them
#   scripts/format.sh --check    only looks: exit status 1 and the places, if one is not laid out so
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(find engine cli tests bench examples node state transport \
    -name '*.[ch]' -o -name '*.cc' | sort)
if [ "${1:-}" = --check ]; then
    clang-format --dry-run -Werror "${files[@]}"
else
    clang-format -i "${files[@]}"
fi
