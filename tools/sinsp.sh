#!/bin/bash
# Gets the real libsinsp (the library inside Falco) as Debian packages it, and builds our host for it (tests/sinsp_host).
#
#   tools/sinsp.sh [--if-possible] [--refresh]
#
# The packages are fetched and verified by debootstrap and unpacked into a folder; nothing in it is installed, no script of a
# package runs, nothing is mounted and no chroot is entered: compiler and programs are started with the folder's own dynamic
# loader. So neither root nor a container's privileges are needed, only debootstrap (which root gets through apt here).
#
#   --if-possible  when it cannot be had, say why and end with 0 (but not when EDERA_FALCOD_REQUIRE_SINSP=1)
#   --refresh      fetch again: the suite moves, the stamp does not look at that
#
#   EDERA_FALCOD_SINSP_DIR      the folder; default ${XDG_CACHE_HOME:-~/.cache}/edera-falcod/sinsp
#   EDERA_FALCOD_DEBIAN_MIRROR  a Debian mirror; default: the one that this machine's apt uses
set -euo pipefail

suite=forky
packages=(libfalcosecurity0-dev sysdig g++)
recipe=3 # raise it when what is done to the folder changes, so that folders made before are made anew

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
base=${EDERA_FALCOD_SINSP_DIR:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/edera-falcod/sinsp}
root=$base/root
stamp=$base/packages
host=$here/build/sinsp_host
source=$here/tests/sinsp_host/main.cc

if_possible=no refresh=no
for option in "$@"; do
    case $option in
        --if-possible) if_possible=yes ;;
        --refresh) refresh=yes ;;
        *) echo "sinsp: unknown option $option; allowed: --if-possible, --refresh" >&2; exit 2 ;;
    esac
done

say() { printf 'sinsp: %s\n' "$*"; }
fail() {
    printf 'sinsp: %s\n' "$@" >&2
    if [ "$if_possible" = yes ] && [ "${EDERA_FALCOD_REQUIRE_SINSP:-}" != 1 ]; then
        echo "sinsp: going on without the real libsinsp; its tests will be skipped" >&2
        exit 0
    fi
    exit 1
}

# --- what has to be there -------------------------------------------------------------------------------------------

need_tools() {
    local missing=()
    command -v debootstrap >/dev/null || [ -x /usr/sbin/debootstrap ] || missing+=(debootstrap)
    command -v wget >/dev/null || missing+=(wget)
    command -v gpgv >/dev/null || command -v sqv >/dev/null || missing+=(gpgv)
    command -v dpkg-deb >/dev/null || missing+=(dpkg)
    command -v xz >/dev/null || missing+=(xz-utils)
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "missing here: ${missing[*]}, and no apt-get to install them with"
    [ "$(id -u)" = 0 ] || fail "missing here: ${missing[*]}. As root: apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
        >"$base/log" 2>&1 || { tail -n 5 "$base/log" >&2; fail "apt-get could not install ${missing[*]}"; }
}

# --- fetching and unpacking -----------------------------------------------------------------------------------------

# debootstrap prints a line per package and step; this shows one line per phase, and a count while it goes on a terminal.
progress() {
    awk -v tty="$([ -t 1 ] && echo 1 || echo 0)" '
        function show(what) { if (what != phase) { if (phase != "" && tty) printf "\n"; phase = what; n = 0; if (!tty) print "sinsp:   " what; } }
        /^I: Retrieving (InRelease|Release|Packages)/ { show("reading the list of packages"); next }
        /^I: Retrieving /                             { show("fetching packages"); n++; if (tty) { printf "\rsinsp:   %s: %d", phase, n; fflush() } next }
        END                                           { if (tty) printf "\n" }'
}

fetch_and_unpack() {
    local mirror script=/usr/share/debootstrap/scripts/$suite proxy work=$base/new
    mirror=$("$here/tools/debian_mirror.sh")
    [ -n "$mirror" ] || fail "this machine's apt names no Debian mirror; set EDERA_FALCOD_DEBIAN_MIRROR"
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid # Debian's script of that name serves all current suites
    [ -e "$script" ] || fail "debootstrap has no script for Debian's sid"
    proxy=$(apt-config shell P Acquire::http::Proxy 2>/dev/null | sed -n "s/^P='\(.*\)'$/\1/p")
    [ -z "$proxy" ] || [ "$proxy" = DIRECT ] || export http_proxy="${http_proxy:-$proxy}"

    # debootstrap tries each file many times; whether there is a mirror at all is better known at once.
    wget -q --spider --timeout=20 --tries=2 "$mirror/dists/$suite/InRelease" ||
        fail "the Debian mirror $mirror has no suite $suite or does not answer (EDERA_FALCOD_DEBIAN_MIRROR names another)"

    rm -rf "$work"
    mkdir -p "$work"
    trap 'rm -rf "$base/new"' EXIT
    say "fetching ${packages[*]} from Debian $suite (about 180 MB)"
    # Release files are checked against debian-archive-keyring, packages against the Release file. A keyring of Debian 12.11 or
    # later knows the keys that sign forky; with an older one debootstrap refuses, and we say what to do rather than skip the check.
    if ! PATH=$PATH:/usr/sbin:/sbin debootstrap --download-only --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
            "$suite" "$work/fetched" "$mirror" "$script" 2>&1 | tee "$base/log" | progress; then
        grep '^E:' "$base/log" >&2 || tail -n 5 "$base/log" >&2
        if grep -qiE 'unknown key|invalid signature|keyring' "$base/log"; then
            fail "this machine's debian-archive-keyring does not know the key that signs $suite: apt-get install --only-upgrade debian-archive-keyring"
        fi
        fail "debootstrap could not fetch the packages (log: $base/log)"
    fi

    say "unpacking"
    mkdir "$work/root"
    # Documentation is left out. --no-same-owner: who owns the files does not matter to anything that we run.
    # The file system's first links (/lib -> usr/lib) come with base-files, so that one goes first.
    unpack() {
        dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --no-same-owner --no-same-permissions \
            --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/zoneinfo' --exclude='./dev/*'
    }
    export -f unpack
    unpack "$work"/fetched/var/cache/apt/archives/base-files_*.deb "$work/root" || fail "could not unpack base-files"
    find "$work/fetched/var/cache/apt/archives" -name '*.deb' ! -name 'base-files_*' -print0 |
        xargs -0 -P "$(nproc)" -I{} bash -o pipefail -c 'unpack "$1" "$2"' unpack {} "$work/root" || fail "could not unpack the packages"
    {
        echo "recipe $recipe $suite ${packages[*]}"
        for deb in "$work"/fetched/var/cache/apt/archives/*.deb; do
            dpkg-deb --show --showformat '${Package} ${Version}\n' "$deb"
        done
    } > "$work/packages"
    rm -rf "$root" "$stamp"
    mv "$work/root" "$root"
    rm -f "$host"
    make_compiler
    mv "$work/packages" "$stamp"
    rm -rf "$work" "$base/log"
    trap - EXIT
}

# $base/bin/c++ builds programs that use the folder's libraries, bin/sysdig is its sysdig. The compiler's driver starts its parts
# through -wrapper; only the linker is started by one of those parts (collect2) and therefore needs a script of its own.
make_compiler() {
    local loader libraries gxx triplet tool
    loader=$(find "$root"/usr/lib* -maxdepth 1 -name "ld-linux-*.so.*" | sort | head -n 1)
    gxx=$(find "$root/usr/bin" -name '*-linux-gnu-g++-[0-9]*' | sort | tail -n 1)
    { [ -x "$loader" ] && [ -n "$gxx" ]; } || fail "the packages of $suite are not laid out as expected: no loader or no compiler in $root"
    triplet=$(basename "$gxx" | sed 's/-g++-.*//')
    libraries=$root/usr/lib/$triplet
    rm -rf "$base/bin"
    mkdir "$base/bin"
    ln -s "$root/usr/bin/$triplet-as" "$base/bin/as"
    for tool in "ld $triplet-ld" "sysdig sysdig"; do
        printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" "$libraries" "$root/usr/bin/${tool#* }" > "$base/bin/${tool% *}"
    done
    cat > "$base/bin/c++" <<SCRIPT
#!/bin/sh
# The folder's compiler. What it builds finds loader and libraries in the folder by itself.
exec "$loader" --library-path "$libraries" "$gxx" -wrapper "$loader,--library-path,$libraries" --sysroot="$root" -B"$base/bin/" \\
    -isystem "$root/usr/include/falcosecurity" -isystem "$root/usr/include/jsoncpp" \\
    -Wl,--dynamic-linker="$loader" -Wl,--disable-new-dtags -Wl,-rpath,"$libraries" "\$@"
SCRIPT
    chmod +x "$base/bin/ld" "$base/bin/sysdig" "$base/bin/c++"
}

# --- our host -------------------------------------------------------------------------------------------------------

build_host() {
    [ -e "$source" ] || return 0
    if [ -x "$host" ] && [ "$host" -nt "$source" ] && [ "$host" -nt "$base/bin/c++" ]; then
        return 0
    fi
    say "building tests/sinsp_host"
    mkdir -p "$(dirname "$host")"
    "$base/bin/c++" -std=c++17 -O1 -Wall -Wextra -Werror "$source" -o "$host.new" -lsinsp -lscap -ljsoncpp ||
        fail "tests/sinsp_host does not compile against $(grep '^libfalcosecurity0-dev ' "$stamp")"
    mv "$host.new" "$host"
}

# --------------------------------------------------------------------------------------------------------------------

mkdir -p "$base" || fail "cannot make $base"
exec 9>"$base/lock"
flock -n 9 || { say "another one is at it, waiting"; flock 9; }

started=$SECONDS
if [ "$refresh" = yes ] || [ "$(head -n 1 "$stamp" 2>/dev/null)" != "recipe $recipe $suite ${packages[*]}" ]; then
    need_tools
    fetch_and_unpack
fi
build_host
version() { sed -n "s/^$1 //p" "$stamp"; }
say "libfalcosecurity $(version libfalcosecurity0-dev), sysdig $(version sysdig), g++ $(version g++) in $base ($((SECONDS - started)) s)"
