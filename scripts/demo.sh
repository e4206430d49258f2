#!/usr/bin/env bash
# The demo: three nodes and a Redis of its own on free ports, a stream of card payments submitted to
# all of them, alerts as they come; one node is killed in the middle and started again, and at the end
# every total is compared with plain loops. On a bare machine, from a fresh clone.
#   scripts/demo.sh [PAYMENTS [BIN]]     300000 payments; BIN: programs that are built already
#   scripts/demo.sh --embedded …         one process without any server: demo_embedded.sh
# Exit status 1 if anything failed or a total differs. Ctrl-C ends everything that was started.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --embedded ]; then
    shift
    exec scripts/demo_embedded.sh "$@"
fi
bin=${2:-build/release/bin}
if [ $# -lt 2 ]; then
    printf '\n== building into build/release (a few minutes the first time)\n'
    scripts/build.sh release efx efx-node
fi
exec python3 scripts/demo_cluster.py "$bin" "${1:-300000}"
