#!/usr/bin/env bash
# Holds what the daemon serves against libsinsp's own answers: tools/parity.sh [CAPTURE...]
#
# Each capture goes the whole way (simulated Edera host, gRPC, daemon, socket) through `edera-falcod replay`; ../shared/tools/parity
# compares every value but those that docs/differences.md lists (tools/known_differences.py). VIA=shim reads through the C shim. CLASS=evt,fs restricts to classes of fields, MIN sets the percentage
# below which this fails (default 100). Two captures at a time, the largest first.
set -euo pipefail
cd "$(dirname "$0")/.."
shared=${SHARED:-../shared}
bin=${BIN:-.venv/bin}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
if [ $# -gt 0 ]; then
    captures=("$@")
else
    mapfile -t captures < <(ls -S "$shared"/captures/*.scap | grep -v '/real_')
fi

hold() { # CAPTURE
    local name sampled="" every=1
    name=$(basename "$1" .scap)
    case $name in busy) every=50 sampled=--sampled ;; shell1 | attack4) every=2 sampled=--sampled ;; esac
    local report=$out/$name.txt
    if ! "$bin/edera-falcod" replay "$1" --json --every "$every" ${VIA:+--via "$VIA"} 2>"$out/$name.err" |
        "$bin/python" tools/known_differences.py >"$out/$name.jsonl"; then
        { echo "replay failed:"; tail -n 5 "$out/$name.err"; } >"$report"
        return 1
    fi
    "$bin/python" tools/known_differences.py < <(gzip -dc "${1%.scap}.expected.jsonl.gz") >"$out/$name.expected.jsonl"
    "$bin/python" "$shared/tools/parity" "$out/$name.expected.jsonl" "$out/$name.jsonl" $sampled --min "${MIN:-100}" \
        ${CLASS:+--class "$CLASS"} ${FIELDS:-} >"$report"
}

failed=0
run() { # CAPTURE
    if hold "$1"; then echo "ok   $(basename "$1" .scap): $(tail -n 1 "$out/$(basename "$1" .scap).txt")"
    else echo "FAIL $(basename "$1" .scap)"; head -n 40 "$out/$(basename "$1" .scap).txt"; return 1; fi
    rm -f "$out/$(basename "$1" .scap)".*jsonl
}
for capture in "${captures[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n || failed=1; done
    run "$capture" &
done
while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n || failed=1; done
exit $failed
