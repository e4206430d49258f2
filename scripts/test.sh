#!/usr/bin/env bash
# Builds the project and runs its tests: every program under tests/, the house rules, the language cases.
#   scripts/test.sh [PRESET]       dev by default
# Needs nothing but a fresh clone. Last line: `N passed, M failed`; exit status 1 if M > 0.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-dev}
if ! scripts/build.sh "$preset"; then
    echo "0 passed, 1 failed"
    exit 1
fi
build=build/$preset
rm -f "$build/Testing/Temporary/LastTest.log"
ctest --test-dir "$build" -j "$(nproc)" --timeout 600 >"$build/ctest.log" 2>&1 || true
if [ ! -f "$build/Testing/Temporary/LastTest.log" ]; then
    cat "$build/ctest.log" >&2
    echo "0 passed, 1 failed"
    exit 1
fi
counts=$(python3 scripts/count.py "$build")
printf '%s\n' "$counts" | sed '$d'
read -r passed failed <<<"$(printf '%s\n' "$counts" | tail -1)"

# The language cases, each file at several shard counts and step sizes: results may not differ.
shopt -s nullglob
cases=(tests/language/*.test)
if [ ${#cases[@]} -eq 0 ]; then
    echo "no language case under tests/language"
    failed=$((failed + 1))
fi
for setting in "--shards 1" "--shards 1 --set application.max_batch=1" \
    "--shards 2 --set application.max_batch=7" "--shards 5" "--nodes 3"; do
    [ ${#cases[@]} -gt 0 ] || break
    rc=0
    # shellcheck disable=SC2086 # a setting is several words
    "$build/bin/efx" test $setting "${cases[@]}" >"$build/language.log" 2>&1 || rc=$?
    said=$(grep -oE '^passed [0-9]+ of [0-9]+$' "$build/language.log" | tail -1 || true)
    if [[ $said =~ ([0-9]+)\ of\ ([0-9]+) ]]; then
        good=${BASH_REMATCH[1]}
        bad=$((BASH_REMATCH[2] - good))
        [ $rc -eq 0 ] || [ $bad -gt 0 ] || bad=1
        passed=$((passed + good))
        failed=$((failed + bad))
    else
        failed=$((failed + 1))
        rc=1
    fi
    if [ $rc -ne 0 ]; then
        echo "--- efx test $setting"
        tail -100 "$build/language.log"
    fi
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
