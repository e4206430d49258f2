#!/usr/bin/env bash
# The demo at a small size, and that its check finds a changed, a missing and a surplus row.
#   examples/payments/test.sh BIN
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$bin/make_payments" 300000 >"$work/payments"
"$bin/efx" run examples/card-alerts.sql --input "$work/payments" --output "$work/alerts" --drain 1h
"$bin/check_payments" "$work/payments" "$work/alerts"

# must_differ WHAT: $work/bad is refused with a line that says so.
must_differ() {
    local rc=0
    "$bin/check_payments" "$work/payments" "$work/bad" >"$work/said" 2>&1 || rc=$?
    if [ $rc -ne 1 ] || ! grep -q "$1" "$work/said"; then
        echo "a file with an error is not refused as it should be: $1"
        cat "$work/said"
        exit 1
    fi
}
sed '0,/"stream":"BlockedPayments"/s/"merchant":/&1/' "$work/alerts" >"$work/bad"
must_differ '^BlockedPayments, row 1 differs'
sed '$d' "$work/alerts" >"$work/bad"
must_differ '^Hourly, row [0-9]* is missing'
{ cat "$work/alerts"; sed -n '/"Hourly"/{p;q}' "$work/alerts"; } >"$work/bad"
must_differ '^Hourly, row [0-9]* differs'
