#!/usr/bin/env bash
# Builds the release preset and runs the benchmark: each workload in the engine and as a hand-written
# loop over the same columns; rows are compared before anything is timed.
#   scripts/bench.sh [--json FILE] [WORKLOAD …]
# Without a WORKLOAD also: two shards, saves while it runs, latency, event lines, start-up, memory,
# stores, links between nodes; these alone: store_redis, store_redis_always, store_dir, tcp.
# Exit status 1 if anything failed or rows differ.
set -euo pipefail
cd "$(dirname "$0")/.."

json=
if [ "${1:-}" = --json ]; then
    json=${2:?a file for --json}
    shift 2
fi
scripts/build.sh release
bin=build/release/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rc=0

title() { printf '\n== %s\n' "$1"; }

stores=()
loops=()
links=()
for workload in "$@"; do
    case $workload in
    store_*) stores+=("$workload") ;;
    tcp) links+=("$workload") ;;
    *) loops+=("$workload") ;;
    esac
done

if [ ${#loops[@]} -gt 0 ] || [ $# -eq 0 ]; then
    title "one shard"
    "$bin/bench" "${loops[@]}" --json "$work/1-one.json" || rc=1
fi
if [ ${#stores[@]} -gt 0 ] || [ $# -eq 0 ]; then
    title "stores"
    "$bin/bench_store" "${stores[@]}" --json "$work/6-stores.json" || rc=1
fi
if [ ${#links[@]} -gt 0 ] || [ $# -eq 0 ]; then
    title "events between nodes"
    "$bin/bench_tcp" --json "$work/7-tcp.json" || rc=1
fi
if [ $# -eq 0 ]; then
    title "two shards"
    "$bin/bench" --shards 2 --json "$work/2-two.json" || rc=1
    title "two saves a second beside the steps"
    "$bin/bench" running sliding partition --events 40000000 --reps 1 --saves \
        --json "$work/3-saves.json" || rc=1
    title "latency"
    "$bin/bench_latency" --json "$work/4-latency.json" || rc=1
    title "processes"
    scripts/bench_process.py "$bin" "$work/5-process.json" || rc=1
fi

if [ -n "$json" ]; then
    python3 - "$json" "$work"/*.json <<'PY'
import json, os, sys
names = {"1": "one_shard", "2": "two_shards", "3": "saves", "4": "latency", "5": "process", "6": "stores",
         "7": "tcp"}
parts = {}
for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as f:
        parts[names[os.path.basename(path)[0]]] = json.load(f)
with open(sys.argv[1], "w", encoding="utf-8") as f:
    json.dump(parts if len(parts) > 1 else next(iter(parts.values())), f, indent=1)
PY
fi
exit $rc
