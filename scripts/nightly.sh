#!/usr/bin/env bash
# What takes hours: random programs against the reference with fresh seeds, long fuzzing, the static
# analyser, the benchmark's rows at full size, the chart on a Kubernetes API server (which a clean machine
# has to build first: 8 minutes of CPU, too long for every submission).
#   scripts/nightly.sh [HOURS]     4 by default; half of it for the differential test
# Last line: `N passed, M failed`. A failure prints the seed or the file that repeats it.
set -uo pipefail
cd "$(dirname "$0")/.."

hours=${1:-4}
seconds=$((hours * 3600))
passed=0
failed=0
note() { # NAME RC
    if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$1: $([ "$2" -eq 0 ] && echo passed || echo failed)"
}

scripts/build.sh asan differential || exit 1
seed=$(date +%s)
echo "differential: seeds from $seed"
build/asan/bin/differential --seed "$seed" --programs 100000000 --seconds $((seconds / 4)) --all
note differential $?

scripts/build.sh fuzz || exit 1
targets=(tests/fuzz/fuzz_*.c)
FUZZ_SECONDS=$((seconds / 2 / ${#targets[@]})) scripts/check.sh fuzz
note fuzz $?

scripts/build.sh release || exit 1
echo "faults: seeds from $seed"
/usr/bin/python3 tests/node/faults_test.py build/release/bin --seed "$seed" --random 1000000 \
    --seconds $((seconds / 4))
note "faults on clusters" $?

build/release/bin/bench --reps 1
note "benchmark rows, one shard" $?
build/release/bin/bench --reps 1 --shards 2
note "benchmark rows, two shards" $?

# All sources of the dev build, each by itself; findings are errors.
scripts/build.sh dev || exit 1
find engine cli -name '*.c' -print0 |
    xargs -0 -P "$(nproc)" -n 4 clang-tidy -p build/dev --quiet --warnings-as-errors='*' \
        --checks='-*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.*'
note analyser $?

scripts/kube_test.sh
scripts/image_test.sh
note "chart on an API server" $?

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
