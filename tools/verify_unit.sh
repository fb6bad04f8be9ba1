#!/bin/sh
# Checks the service units as systemd would read them, and how exposed each service is: at most 1.5 by systemd-analyze, and every point that
# is left has its row with the reason in docs/service.md (and no row is there for a point that is not left). The drop-in for metrics is
# checked too. What sysusers.d and tmpfiles.d say is carried out in an empty folder.
set -eu
cd "$(dirname "$0")/.."
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/units" "$root/bin"
# verify wants the programs to exist: any executable of that name will do
for program in /usr/bin/edera-falcod /lib/systemd/systemd-socket-proxyd; do
    printf '#!/bin/sh\n' > "$root/bin/${program##*/}"
    chmod +x "$root/bin/${program##*/}"
done
for unit in systemd/*.service systemd/*.socket; do
    sed "s|/usr/bin/edera-falcod|$root/bin/edera-falcod|; s|/lib/systemd/systemd-socket-proxyd|$root/bin/systemd-socket-proxyd|" \
        "$unit" > "$root/units/${unit##*/}"
done
check() {
    said=$(SYSTEMD_UNIT_PATH="$root/units:" systemd-analyze verify --man=no "$root"/units/*.service "$root"/units/*.socket 2>&1) || { echo "$said" >&2; return 1; }
    # Warnings (an unknown key, say) are told with exit code 0.
    said=$(printf '%s\n' "$said" | grep -F 'edera-falcod' || true)
    [ -z "$said" ] || { echo "$said" >&2; return 1; }
}
check
for service in "$root"/units/*.service; do
    systemd-analyze security --offline=true --threshold=15 --no-pager "$service" | tail -n 1
    systemd-analyze security --offline=true --json=short --no-pager "$service" > "$root/$(basename "$service" .service).json"
done
# What is asked for differs between versions; Debian 12's is what we hold ourselves to.
if [ "$(systemctl --version | awk 'NR == 1 { print $2 }')" != 252 ]; then
    echo "reasons not checked: the table in docs/service.md is for systemd 252"
else
python3 - docs/service.md "$root"/*.json <<'CHECK'
import json
import re
import sys
from pathlib import Path

# Rows of the table: | unit, unit | `point` ... | reason |
rows = [line.split("|")[1:4] for line in Path(sys.argv[1]).read_text().splitlines() if re.match(r"\| edera-falcod[^|]*\| `", line)]
told = {(unit.strip(), point) for units, points, _ in rows for unit in units.split(",") for point in re.findall(r"`([^`]+)`", points)}
left = set()
for name in sys.argv[2:]:
    for one in json.loads(Path(name).read_text()):
        if one["exposure"] and float(one["exposure"]) > 0:
            left.add((Path(name).stem, one["name"]))
for unit, point in sorted(left - told):
    print(f"docs/service.md: no reason for {point} of {unit}", file=sys.stderr)
for unit, point in sorted(told - left):
    print(f"docs/service.md: a reason for {point} of {unit}, which is not left", file=sys.stderr)
sys.exit(left != told)
CHECK
echo "every point that is left has its reason"
fi
mkdir "$root/units/edera-falcod.service.d"
cp systemd/metrics-loopback.conf "$root/units/edera-falcod.service.d/"
check

if command -v systemd-sysusers >/dev/null && [ "$(id -u)" = 0 ]; then
    mkdir -p "$root/host/etc" "$root/host/usr/lib/sysusers.d" "$root/host/usr/lib/tmpfiles.d"
    cp systemd/sysusers.conf "$root/host/usr/lib/sysusers.d/edera-falcod.conf"
    cp systemd/tmpfiles.conf "$root/host/usr/lib/tmpfiles.d/edera-falcod.conf"
    systemd-sysusers --root="$root/host"
    grep -q '^edera-falcod:' "$root/host/etc/passwd"
    grep -q '^falco:.*:edera-falcod$' "$root/host/etc/group"
    systemd-tmpfiles --root="$root/host" --create >/dev/null
    [ "$(stat -c %a "$root/host/run/edera-falcod")" = 755 ]
    echo "sysusers.d and tmpfiles.d: as meant"
fi
