#!/usr/bin/env bash
# What tests alone do not show: layout, house rules, a second compiler, sanitizers, fuzzing.
#   scripts/check.sh [STEP …]     STEP: format tidy clang asan tsan fuzz; all by default
# One step's output appears only when it fails. Last line: `N passed, M failed`, steps counted as cases
# (asan and tsan: their tests).
set -uo pipefail
cd "$(dirname "$0")/.."

fuzz_seconds=${FUZZ_SECONDS:-20}
concurrent=(run lib world io differential) # rooms whose tests run under the thread sanitizer
passed=0
failed=0

# step NAME COMMAND…: one case, silent when it passes.
step() {
    local name=$1 log rc=0
    shift
    log=$(mktemp)
    "$@" >"$log" 2>&1 || rc=$?
    if [ $rc -eq 0 ]; then
        passed=$((passed + 1))
        echo "$name: passed"
    else
        failed=$((failed + 1))
        tail -200 "$log"
        echo "$name: failed"
    fi
    rm -f "$log"
    return $rc
}

# counted NAME COMMAND…: a command whose last line is `N passed, M failed`.
counted() {
    local name=$1 log rc=0
    shift
    log=$(mktemp)
    "$@" >"$log" 2>&1 || rc=$?
    if [[ $(tail -1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        [ $rc -eq 0 ] || [ "${BASH_REMATCH[2]}" -gt 0 ] || failed=$((failed + 1))
    else
        failed=$((failed + 1))
        rc=1
    fi
    [ $rc -eq 0 ] || tail -300 "$log"
    echo "$name: $(tail -1 "$log")"
    rm -f "$log"
}

tsan_tests() {
    local names=() room file
    for room in "${concurrent[@]}"; do
        for file in tests/"$room"/test_*.c; do
            [ -f "$file" ] && names+=("$(basename "$file" .c)")
        done
    done
    # shellcheck disable=SC2015
    [ -f tests/differential/differential_main.c ] && names+=(differential) || true
    scripts/build.sh tsan "${names[@]}" || return 1
    local regex
    regex="^($(IFS='|' && echo "${names[*]}"))\$"
    rm -f build/tsan/Testing/Temporary/LastTest.log
    TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1" \
        ctest --test-dir build/tsan -j "$(nproc)" --timeout 900 -R "$regex" >build/tsan/ctest.log 2>&1
    local counts
    counts=$(python3 scripts/count.py build/tsan) || return 1
    printf '%s\n' "$counts" | sed '$d'
    read -r good bad <<<"$(printf '%s\n' "$counts" | tail -1)"
    echo "$good passed, $bad failed"
    [ "$bad" -eq 0 ]
}

# One target: known inputs first (tests/fuzz/corpus/NAME, where there are any), then new ones.
fuzz_one() {
    local name=$1 found=build/fuzz/corpus/$1 seeds=()
    mkdir -p "$found"
    [ ! -d "tests/fuzz/corpus/$name" ] || seeds=("tests/fuzz/corpus/$name")
    "build/fuzz/bin/$name" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="build/fuzz/$name-" "$found" "${seeds[@]}"
}

scripts/setup.sh || exit 1
[ $# -gt 0 ] || set -- format tidy clang asan tsan fuzz
for wanted in "$@"; do
    case $wanted in
    format) step format scripts/format.sh --check ;;
    tidy)
        step tidy python3 tests/tidy.py .
        step "tidy self-test" python3 tests/tidy.py --self-test
        ;;
    clang) step "clang build" scripts/build.sh fuzz ;; # the fuzz preset is clang, everything in it
    asan) counted "asan and ubsan" scripts/test.sh asan ;;
    tsan) counted tsan tsan_tests ;;
    fuzz)
        for source in tests/fuzz/fuzz_*.c; do
            name=$(basename "$source" .c)
            step "$name build" scripts/build.sh fuzz "$name" &&
                step "$name for $fuzz_seconds s" fuzz_one "$name"
        done
        ;;
    *)
        echo "check: no step '$wanted'" >&2
        exit 2
        ;;
    esac
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
