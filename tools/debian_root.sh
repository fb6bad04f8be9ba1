# Sourced: debian_root FOLDER PACKAGE... unpacks a clean Debian into an empty folder: debootstrap's minbase and the packages named, nothing else.
# It is kept, packed, under ${XDG_CACHE_HOME:-~/.cache}/edera-falcod. As root. EDERA_FALCOD_DEBIAN_MIRROR names a mirror.
# Returns 1 with the reason in debian_root_why.
debian_root_why=
debian_root() {
    local root=$1 suite=bookworm cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/edera-falcod mirror tarball packages log new
    shift
    packages=$(printf '%s\n' "$@" | sort -u | paste -sd,)
    tarball=$cache/$suite-$(printf '%s' "$packages" | sha256sum | cut -c1-12).tar
    if command -v zstd >/dev/null; then tarball=$tarball.zst; else tarball=$tarball.gz; fi
    if [ ! -e "$tarball" ]; then
        mirror=$("$(dirname "${BASH_SOURCE[0]}")/debian_mirror.sh")
        [ -n "$mirror" ] || { debian_root_why="this machine's apt names no Debian mirror; set EDERA_FALCOD_DEBIAN_MIRROR"; return 1; }
        PATH=$PATH:/usr/sbin:/sbin command -v debootstrap >/dev/null || { debian_root_why="debootstrap is not installed"; return 1; }
        mkdir -p "$cache"
        echo "fetching a minimal Debian $suite with $packages"
        log=$(mktemp)
        if ! PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >"$log" 2>&1; then
            tail -n 20 "$log" >&2
            rm -f "$log"
            debian_root_why="debootstrap failed"
            return 1
        fi
        rm -f "$log" "$root"/var/cache/apt/archives/*.deb
        # By rename: another may be at it too.
        new=$(mktemp -p "$cache" "new-XXXXXX.${tarball##*.}")
        tar -C "$root" -caf "$new" . && mv "$new" "$tarball"
    else
        tar -C "$root" -xpf "$tarball"
    fi
}
