#!/bin/sh
# Checks the service unit as systemd would read it, and how exposed it is: at most 1.5 by systemd-analyze.
set -eu
cd "$(dirname "$0")/.."
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# verify wants the program to exist: any executable of that name will do
mkdir -p "$root/units" "$root/bin"
printf '#!/bin/sh\n' > "$root/bin/edera-falcod"
chmod +x "$root/bin/edera-falcod"
sed "s|/usr/bin/edera-falcod|$root/bin/edera-falcod|" systemd/edera-falcod.service > "$root/units/edera-falcod.service"
systemd-analyze verify --man=no "$root/units/edera-falcod.service"
systemd-analyze security --offline=true --threshold=15 --no-pager "$root/units/edera-falcod.service" | tail -n 1
