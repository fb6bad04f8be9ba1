#!/bin/bash
# Prints the mirror that this machine's apt gets its own Debian suite from, or EDERA_FALCOD_DEBIAN_MIRROR where that is set; nothing if there is
# none. --print-uris goes nowhere and needs no package lists.
set -euo pipefail
if [ -n "${EDERA_FALCOD_DEBIAN_MIRROR:-}" ]; then
    echo "$EDERA_FALCOD_DEBIAN_MIRROR"
    exit 0
fi
id=$(. /etc/os-release && echo "${ID:-}")
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
[ "$id" = debian ] || exit 0
apt-get -o Debug::NoLocking=1 --print-uris update 2>/dev/null |
    sed -nE "s#^'((https?|file)://?/?[^']*)/dists/($codename|oldstable|stable|testing|unstable|sid)/(In)?Release'.*#\1#p" | head -n 1
