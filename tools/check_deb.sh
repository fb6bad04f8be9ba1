#!/bin/bash
# Installs the package into a clean Debian and tries it there: tools/check_deb.sh DEB [--no-boot]. As root; needs debootstrap.
#
# The clean Debian is debootstrap's minbase and what the package says it depends on, nothing else (tools/debian_root.sh). In a chroot:
# commands, man pages, the plugin, files' owners, removal. Booted (systemd-nspawn): the service as it will run, with a simulated Edera
# host whose socket only root may connect to, that is restarted meanwhile. Ends with 77 and a reason where it cannot be done.
set -euo pipefail
deb=$(realpath "${1:?usage: tools/check_deb.sh DEB [--no-boot]}")
boot=${2:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$here/tools/debian_root.sh"
say() { echo "check_deb: $*"; }
skip() { say "left out: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root"
PATH=$PATH:/usr/sbin:/sbin
# Names of what it depends on; of alternatives the first. libc6 and the like are there anyway.
depends=$(dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed -E 's/\|.*//; s/\(.*\)//; s/[[:space:]]//g')
work=$(mktemp -d)
trap 'umount -q "$work/root/proc" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/root"
# systemd-sysv only makes it bootable.
debian_root "$work/root" $depends systemd-sysv || skip "$debian_root_why"
root=$work/root
mount -t proc proc "$root/proc" 2>/dev/null || skip "may not mount /proc"
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"; }
fail() { say "FAILED: $*" >&2; exit 1; }
expect() { # expect TEXT COMMAND...: its output has TEXT
    local text=$1 said
    shift
    said=$(inside "$@" 2>&1) || fail "$*: $said"
    [[ $said == *"$text"* ]] || fail "$*: no '$text' in: $said"
}

if command -v lintian >/dev/null; then
    say "lintian"
    lintian --allow-root --tag-display-limit 0 --fail-on error,warning "$deb" || fail "lintian"
fi

# minbase leaves documentation in; a package's man pages are looked at below.
cp "$deb" "$root/root/edera-falcod.deb"
cp "$here/tests/data/net1.scap" "$root/root/net1.scap"
say "installing"
inside env DEBIAN_FRONTEND=noninteractive dpkg -i /root/edera-falcod.deb > "$work/log" 2>&1 || { cat "$work/log" >&2; fail "dpkg -i"; }
version=$(dpkg-deb -f "$deb" Version)
core=interpreted
! dpkg-deb -c "$deb" | grep '__mypyc.*\.so$' >/dev/null || core=compiled
expect "edera-falcod $version ($core core)" edera-falcod version
expect "proc.cmdline" edera-falcod fields proc.
expect "run the daemon" edera-falcod --help
expect "curl" edera-falcod replay /root/net1.scap --fields proc.name --json
expect "evt.type" /usr/lib/edera-falcod/shimcat --list
expect "(edera-falcod)" id edera-falcod
expect "falco" id -nG edera-falcod
expect "edera-falcod edera-falcod 755" stat -c '%U %G %a' /run/edera-falcod
expect "the configuration is good" edera-falcod run --config /etc/edera-falcod/config.toml --check-config
for page in "$root"/usr/share/man/man1/edera-falcod*.gz; do gzip -t "$page" || fail "$page"; done
[ "$(find "$root"/usr/share/man/man1/edera-falcod*.gz | wc -l)" -ge 9 ] || fail "man pages are missing"
inside bash -n /usr/share/bash-completion/completions/edera-falcod || fail "bash completion"
# Nothing may have to be compiled when it runs, and nothing may be written into what is installed.
(cd "$root" && find usr/lib/edera-falcod -newer root/edera-falcod.deb -type f) | grep . && fail "files were written into what is installed"
inside dpkg --verify edera-falcod > "$work/log" 2>&1; [ ! -s "$work/log" ] || { cat "$work/log"; fail "installed files differ from the package"; }
[ -L "$root/etc/systemd/system/multi-user.target.wants/edera-falcod.service" ] || fail "the service is not enabled"

if [ "$boot" = --no-boot ] || ! command -v systemd-nspawn >/dev/null; then
    say "not booted: systemd-nspawn is not installed, or --no-boot"
else
    say "booting"
    cp "$here/packaging/try-service.sh" "$root/root/try-service.sh"
    cat > "$root/etc/systemd/system/fake-edera.service" <<'UNIT'
[Service]
ExecStartPre=/bin/mkdir -p -m 0700 /var/lib/edera/protect
ExecStart=/usr/bin/edera-falcod sim --socket /var/lib/edera/protect/daemon.socket --zone web=/root/net1.scap --loop
UMask=0077
UNIT
    cat > "$root/etc/systemd/system/try.service" <<'UNIT'
[Unit]
Wants=fake-edera.service
After=multi-user.target fake-edera.service
[Service]
Type=oneshot
ExecStart=/bin/bash /root/try-service.sh
ExecStopPost=/bin/systemctl --no-block start poweroff.target
StandardOutput=append:/root/try.log
StandardError=append:/root/try.log
UNIT
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s ../try.service "$root/etc/systemd/system/multi-user.target.wants/try.service"
    rm -f "$root/etc/machine-id"
    umount "$root/proc"
    timeout 180 systemd-nspawn --quiet --boot --register=no --keep-unit --private-network --directory="$root" > "$work/console" 2>&1 || true
    if [ ! -e "$root/root/try.log" ]; then
        tail -n 20 "$work/console" >&2
        [ "${EDERA_FALCOD_REQUIRE_BOOT:-}" != 1 ] || fail "the container did not boot"
        say "not tried as a service: the container did not boot here"
    else
        cat "$root/root/try.log"
        grep -qx 'ALL IS WELL' "$root/root/try.log" || { tail -n 60 "$root/root/journal" >&2; fail "the service"; }
    fi
    mount -t proc proc "$root/proc"
fi

say "removing"
inside env DEBIAN_FRONTEND=noninteractive dpkg --purge edera-falcod > "$work/log" 2>&1 || { cat "$work/log" >&2; fail "dpkg --purge"; }
left=$(cd "$root" && find etc usr lib/systemd run -name '*edera*' ! -name 'fake-edera*' 2>/dev/null | grep -v '^usr/lib/sysusers.d' || true)
[ -z "$left" ] || fail "left behind: $left"
say "all is well"
