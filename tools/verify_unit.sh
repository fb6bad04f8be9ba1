#!/bin/sh
# Checks the service units as systemd would read them, and how exposed each service is: at most 1.5 by systemd-analyze. The drop-in for
# metrics is checked too. What sysusers.d and tmpfiles.d say is carried out in an empty folder.
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
done
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
