#!/usr/bin/env bash
# Builds a preset (dev, asan, tsan, fuzz, release) into build/PRESET.
#   scripts/build.sh [PRESET] [TARGET …]        PRESET: release by default; no TARGET: everything
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
[ $# -eq 0 ] || shift
scripts/setup.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --preset "$preset" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
targets=()
[ $# -eq 0 ] || targets=(--target "$@")
if ! cmake --build --preset "$preset" "${targets[@]}" >"$log" 2>&1; then
    grep -v '^\[[0-9]*/[0-9]*\] \(Building\|Linking\)' "$log" >&2 || cat "$log" >&2
    echo "build: preset $preset does not build" >&2
    exit 1
fi
