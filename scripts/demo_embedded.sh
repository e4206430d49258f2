#!/usr/bin/env bash
# The demo of the engine in one process: a day of card payments through examples/card-alerts.sql, and every row compared with what
# plain loops find in the same payments. On a bare machine, from a fresh clone.
#   scripts/demo_embedded.sh [EVENTS [BIN]]     3000000 events; BIN: programs that are built already
# The rows stay in build/demo/alerts.ndjson. Exit status 1 if anything failed or a row differs.
set -euo pipefail
cd "$(dirname "$0")/.."

events=${1:-3000000}
bin=${2:-build/release/bin}
work=$(pwd)/build/demo
title() { printf '\n== %s\n' "$1"; }
grouped() { # 3000000 -> 3,000,000
    printf '%s\n' "$1" | sed -e ':a' -e 's/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/;ta'
}

if [ $# -lt 2 ]; then
    title "building into build/release (a few minutes the first time)"
    scripts/build.sh release efx make_payments check_payments
fi
mkdir -p "$work"
payments=$(mktemp "$work/payments-XXXXXX.ndjson")
alerts=$(mktemp "$work/alerts-XXXXXX.ndjson")
trap 'rm -f "$payments" "$alerts"' EXIT

title "making $(grouped "$events") card payments of one day, and a table of blocked merchants"
"$bin/make_payments" "$events" >"$payments"
echo "$(($(wc -c <"$payments") / 1000000)) MB of event lines, like this one:"
tail -1 "$payments"

title "efx run examples/card-alerts.sql"
"$bin/efx" run examples/card-alerts.sql --input "$payments" --output "$alerts" --drain 1h 2>&1

title "the first row of each stream"
awk -F'"' '!seen[$4]++ { print; n++ } n == 5 { exit }' "$alerts"

title "every row compared with plain loops over the same payments"
rc=0
"$bin/check_payments" "$payments" "$alerts" || rc=$?
if [ $rc -eq 0 ]; then
    mv "$alerts" "$work/alerts.ndjson"
    printf '\nAll rows agree. They are in build/demo/alerts.ndjson.\n'
fi
exit $rc
