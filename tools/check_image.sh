#!/bin/bash
# Builds the container image and tries it: tools/check_image.sh. As root; needs buildah, netavark and debootstrap. No registry is asked: the base image is
# debootstrap's minbase, kept under ${XDG_CACHE_HOME:-~/.cache}/edera-falcod. EDERA_FALCOD_COMPILE=0 leaves the core interpreted (a minute
# instead of five). Ends with 77 and a reason where it cannot be done.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$here/tools/debian_root.sh"
say() { echo "check_image: $*"; }
skip() { say "left out: $*"; exit 77; }
fail() { say "FAILED: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || skip "needs root"
command -v buildah >/dev/null || skip "buildah is not installed"
work=$(mktemp -d)
base=localhost/edera-falcod-base image=localhost/edera-falcod:check container=
clean() {
    [ -z "$container" ] || buildah rm "$container" >/dev/null 2>&1 || true
    buildah rmi --force "$image" "$base" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; fail "$*"; }; }

mkdir "$work/root"
debian_root "$work/root" python3 || skip "$debian_root_why"
# How this machine's pip finds what it installs, which is nothing that belongs into an image of ours.
{
    echo "[global]"
    for key in index-url extra-index-url trusted-host proxy timeout; do
        value=$(python3 -m pip config get "global.$key" 2>/dev/null || python3 -m pip config get ":env:.$key" 2>/dev/null) && echo "$key = $value"
    done
    bundle=${PIP_CERT:-$(python3 -m pip config get global.cert 2>/dev/null || true)}
    if [ -n "$bundle" ]; then
        cp "$bundle" "$work/root/usr/local/share/pip-certificates.pem"
        echo "cert = /usr/local/share/pip-certificates.pem"
    fi
} > "$work/root/etc/pip.conf"
say "making the base image"
container=$(buildah from scratch)
quietly buildah add "$container" "$work/root" /
quietly buildah commit --rm "$container" "$base"
container=
rm -rf "$work/root"

# A copy of the tree, as a clone would be.
"$here/tools/source.sh" "$work/src"
say "building the image"
quietly buildah build-using-dockerfile --isolation chroot --network host --build-arg "BASE=$base" --build-arg "COMPILE=${EDERA_FALCOD_COMPILE:-1}" \
    --file "$work/src/Containerfile" --tag "$image" "$work/src"
container=$(buildah from "$image")
buildah copy "$container" "$here/tests/data/net1.scap" /net1.scap >/dev/null
inside() { buildah run --isolation chroot "$container" -- "$@" 2>&1; }
expect() { # expect TEXT COMMAND...: its output has TEXT
    local text=$1 said
    shift
    said=$(inside "$@") || fail "$*: $said"
    [[ $said == *"$text"* ]] || fail "$*: no '$text' in: $said"
}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/pyproject.toml")
expect "edera-falcod $version" edera-falcod version
expect "proc.cmdline" /usr/lib/edera-falcod/shimcat --list
[ "$(buildah inspect --format '{{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}' "$container")" = "[/usr/bin/edera-falcod] [run]" ] || fail "entry point"
[[ $(buildah inspect --format '{{index .OCIv1.Config.Labels "org.opencontainers.image.version"}}' "$container") = "$version" ]] || fail "version label"
# The whole way: a simulated Edera host, the daemon, the plugin.
cat > "$work/try.sh" <<'TRY'
set -u
mkdir -p /run/edera-falcod /run/edera
edera-falcod sim --socket /run/edera/daemon.socket --zone web=/net1.scap --loop >/run/sim.log 2>&1 &
sim=$!
edera-falcod run --set edera.socket=/run/edera/daemon.socket >/run/daemon.log 2>&1 &
daemon=$!
/usr/lib/edera-falcod/shimcat -s /run/edera-falcod/falco.sock -n 20 -t 20 -o '%edera.zone.name %evt.type' || { cat /run/sim.log /run/daemon.log; exit 1; }
edera-falcod ctl health --live || exit 1
kill $sim $daemon
wait
TRY
buildah copy "$container" "$work/try.sh" /try.sh >/dev/null
expect "web " bash /try.sh
mounted=$(buildah mount "$container")
left=$(cd "$mounted" && find . -xdev \( -name 'src' -path './src*' -o -name '*.c' -path './opt/*' -o -path './root/.cache/*' \) | head)
size=$(du -sm "$mounted/opt/edera-falcod" "$mounted/usr/lib/edera-falcod" | awk '{ sum += $1 } END { print sum }')
[ -z "$left" ] || fail "left in the image: $left"
buildah umount "$container" >/dev/null
say "all is well: $size MB beside Debian's Python"
