#!/bin/bash
# Runs inside a booted container (tools/check_deb.sh): is the service what it is meant to be?
set -u
failed=0
check() { # check WHAT COMMAND...
    local what=$1
    shift
    if "$@" > /tmp/said 2>&1; then echo "  ok      $what"; else echo "  FAILED  $what"; cat /tmp/said; failed=1; fi
}
status_of() { edera-falcod ctl status --json; }
live() { status_of | python3 -c 'import json, sys; zones = json.load(sys.stdin)["zones"]; sys.exit(not [z for z in zones if z["state"] == "live"])'; }
wait_for() { for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done; "$@"; }
main_pid() { systemctl show -P MainPID "$1"; }
has() { grep -qE "$2" "/proc/$(main_pid "$1")/status"; }
as_user() { setpriv --reuid="$1" --regid="$1" --init-groups "${@:2}"; }
shimcat() { /usr/lib/edera-falcod/shimcat -s /run/edera-falcod/falco.sock -n 5 -t 20; }
refused() { ! "$@"; }

check "the zone is live, through the proxy" wait_for live
check "Edera's socket is root's alone" test "$(stat -c '%U %a' /var/lib/edera/protect/daemon.socket)" = "root 700"
check "the daemon cannot reach it by itself" refused as_user edera-falcod python3 -c \
    'import socket; socket.socket(socket.AF_UNIX).connect("/var/lib/edera/protect/daemon.socket")'
uid=$(id -u edera-falcod)
check "the daemon runs as its own user" has edera-falcod "^Uid:\s+$uid\s+$uid\s"
for unit in edera-falcod edera-falcod-link; do
    check "$unit has no capabilities" has $unit '^CapBnd:\s+0+$'
    check "$unit has a filter of system calls" has $unit '^Seccomp:\s+2$'
    check "$unit cannot gain privileges" has $unit '^NoNewPrivs:\s+1$'
done
for path in /run/systemd/private /run/systemd/journal/socket /run/edera-falcod /etc/passwd; do
    check "it is there: $path" test -e $path
    check "and the proxy does not see it" refused nsenter -t "$(main_pid edera-falcod-link)" -m test -e $path
done
check "consumer socket: group falco" test "$(stat -c '%U %G %a' /run/edera-falcod/falco.sock)" = "edera-falcod falco 660"
check "ctl socket: its own" test "$(stat -c '%U %a' /run/edera-falcod/ctl.sock)" = "edera-falcod 600"

useradd --system --no-create-home --groups falco someone-falco && useradd --system --no-create-home stranger
check "root gets events" shimcat
check "a member of group falco gets events" as_user someone-falco bash -c "$(declare -f shimcat); shimcat"
check "a stranger does not" refused as_user stranger python3 -c "import socket; socket.socket(socket.AF_UNIX).connect('/run/edera-falcod/falco.sock')"
check "nobody else reaches Edera through the proxy" refused as_user someone-falco python3 -c \
    "import socket; socket.socket(socket.AF_UNIX).connect('/run/edera-falcod-link/edera.sock')"

pid=$(main_pid edera-falcod)
systemctl restart fake-edera
sleep 2
check "after a restart of Edera the zone is live again" wait_for live
systemctl stop fake-edera
sleep 3
check "without Edera the daemon goes on" test "$(main_pid edera-falcod)" = "$pid"
systemctl start fake-edera
check "Edera comes back" wait_for live
check "all that by the same daemon" test "$(main_pid edera-falcod)" = "$pid"

check "reload" systemctl reload edera-falcod
check "is done without a restart" test "$(main_pid edera-falcod)" = "$pid"
edera-falcod doctor --json > /tmp/doctor
check "doctor finds nothing wrong but that Falco is not here" python3 - /tmp/doctor <<'DOCTOR'
import json
import sys

found = json.load(open(sys.argv[1]))
assert {"Configuration", "Edera daemon", "Daemon", "Consumer socket", "Shim"} <= {one["link"] for one in found}, found
# Falco is not here, so that what is kept for it overflows.
wrong = [one for one in found if one["level"] == "wrong" and one["link"] not in ("Consumer", "Drops") and "for consumer" not in one["text"]]
wrong = [one for one in wrong if one["text"] != "consumer falco is not connected"]
assert not wrong, wrong
DOCTOR

# An upgrade under a running consumer: dpkg puts the plugin's new file in place by rename and restarts the daemon.
plugin=/usr/lib/edera-falcod/libedera_shim.so
/usr/lib/edera-falcod/shimcat -u upgraded -s /run/edera-falcod/falco.sock -o '%edera.zone.name %evt.type' > /tmp/events 2>/tmp/consumer &
consumer=$!
lines() { [ "$(wc -l < /tmp/events)" -gt "$1" ]; }
check "a consumer runs" wait_for lines 100
before=$(stat -c %i $plugin)
check "the package is installed anew meanwhile" dpkg -i /root/edera-falcod.deb
check "the plugin's file is another" test "$(stat -c %i $plugin)" != "$before"
check "so is the daemon" test "$(main_pid edera-falcod)" != "$pid"
check "the consumer has the old file" grep -qF "$plugin (deleted)" /proc/$consumer/maps
check "the zone is live again" wait_for live
seen=$(wc -l < /tmp/events)
check "and the consumer gets its events" wait_for lines $((seen + 100))
kill -INT $consumer
wait $consumer
check "it has ended well" test $? = 0

inode=$(stat -c %i /run/edera-falcod)
systemctl stop edera-falcod
check "the sockets' folder stays when the service stops" test "$(stat -c %i /run/edera-falcod)" = "$inode"
check "what was kept for consumers does not" test ! -e /run/edera-falcod-handover
systemctl start edera-falcod
check "it starts again" wait_for live

first=$(stat -c %i /run/edera-falcod/falco.sock)
systemctl restart edera-falcod
check "over a restart" wait_for live
journalctl -u edera-falcod -o cat --no-pager > /root/journal
journalctl -u edera-falcod-link -o cat --no-pager >> /root/journal
check "events are handed over" grep -q '"event": "taken over"' /root/journal
# Older ones do not say whether they keep descriptors, so the daemon does not count on it: the shim connects anew.
[ "$(systemctl --version | awk 'NR == 1 { print $2 }')" -lt 254 ] || check "the listening socket is the same" test "$(stat -c %i /run/edera-falcod/falco.sock)" = "$first"
check "no errors are logged" refused grep -E '"level": "(error|critical)"|Traceback' /root/journal
check "nothing was refused by the sandbox" refused journalctl --no-pager -g 'audit.*SECCOMP|Operation not permitted'
check "no unit has failed" test -z "$(systemctl --failed --no-legend --plain | grep edera)"
[ $failed = 0 ] && echo "ALL IS WELL"
