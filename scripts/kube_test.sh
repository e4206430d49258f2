#!/usr/bin/env bash
# The chart on a real Kubernetes API server with real controllers and scheduler; nodes are played, so no
# container runs (scripts/image_test.sh runs them). Builds the control plane once, 8 minutes of CPU.
#   scripts/kube_test.sh [TEST …]        e.g. Release.test_02_install
# Last line: `N passed, M failed`.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
declare -A tools
found=$(scripts/kube_tools.sh cluster helm schemas)
while IFS='=' read -r name folder; do tools[$name]=$folder; done <<<"$found"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
rc=0
PYTHONDONTWRITEBYTECODE=1 tests/helm/kube_test.py "${tools[cluster]}" "${tools[helm]}" "${tools[schemas]}" -v "$@" 2>&1 | tee "$log" || rc=$?
ran=$(sed -nE 's/^Ran ([0-9]+) tests? in .*/\1/p' "$log")
bad=$(grep -cE '^(FAIL|ERROR): ' "$log" || true)
[ -n "$ran" ] && [ "$ran" -gt 0 ] || { ran=1 && rc=1; }
[ $rc -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
echo "$((ran > bad ? ran - bad : 0)) passed, $bad failed"
[ $rc -eq 0 ]
