#!/bin/bash
# Builds the Debian package with Debian's own tools (dpkg-dev): tools/deb.sh FOLDER puts edera-falcod_VERSION_ARCH.deb there, and beside it
# the wheel and the SBOM that went into it.
#
# What Debian 12 does not have (betterproto, librt, grpclib of the version that we need) comes from PyPI as wheels, at build time, into
# /usr/lib/edera-falcod/python, with our own package; nothing of it is on Python's path for others. The core is compiled by mypyc unless
# EDERA_FALCOD_COMPILE=0. The package is bound to the minor version of the Python that builds it: PYTHON=/usr/bin/python3 by default.
set -euo pipefail
out=$(realpath -m "${1:?usage: tools/deb.sh FOLDER}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$here"
python=${PYTHON:-/usr/bin/python3}
compile=${EDERA_FALCOD_COMPILE:-1}
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y pyproject.toml)
fi
export SOURCE_DATE_EPOCH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
for tool in dpkg-buildflags dpkg-deb dpkg-gencontrol dpkg-shlibdeps gcc make; do
    command -v "$tool" >/dev/null || { echo "deb: $tool is missing: apt-get install dpkg-dev gcc make" >&2; exit 1; }
done
"$python" -c 'import ensurepip' 2>/dev/null || { echo "deb: $python has no venv: apt-get install python3-venv" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
say() { echo "deb: $*"; }
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 1; }; }

# A copy of the tree: nothing that was built in it before gets into the package.
mkdir -p "$work/src" "$work/debian" "$out"
tools/source.sh "$work/src"
cd "$work/src"
root=$work/debian/edera-falcod
lib=$root/usr/lib/edera-falcod
mkdir -p "$lib/python"

if [ "$compile" = 1 ]; then say "building the wheel, core compiled (two minutes)"; else say "building the wheel, core interpreted"; fi
# Debian's flags: fortified, and bound before the first event comes.
eval "$(DEB_BUILD_MAINT_OPTIONS=hardening=+all dpkg-buildflags --export=sh | grep -E '^export (CFLAGS|CPPFLAGS|LDFLAGS)=')"
quietly "$python" -m venv "$work/venv"
quietly "$work/venv/bin/pip" install --upgrade 'pip>=24' setuptools packaging
quietly env EDERA_FALCOD_COMPILE="$compile" "$work/venv/bin/pip" wheel --no-deps --wheel-dir "$work/wheel" .
say "collecting Python dependencies"
# Wheels only: nothing of others is built here.
quietly "$work/venv/bin/pip" install --no-compile --only-binary :all: --target "$lib/python" "$work"/wheel/*.whl
rm -rf "$lib/python/bin"
# What only describes the installation, names the build folder, or is for debugging.
find "$lib/python" \( -name direct_url.json -o -name REQUESTED -o -name INSTALLER \) -delete
find "$lib/python" -name '*.so' -exec strip --strip-unneeded {} +
# pip's RECORD still names what has just been removed.
find "$lib/python" -name RECORD -exec sed -i -E '/(direct_url\.json|REQUESTED|INSTALLER|^(\.\.\/)+bin\/|^bin\/)/d' {} +
quietly "$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$root" "$lib/python"

say "building the shim"
quietly make -C shim install BUILD="$work/shim" PREFIX=/usr BINDIR=/usr/lib/edera-falcod DESTDIR="$root"
strip --strip-unneeded "$lib/libedera_shim.so" "$lib/shimcat"

install -Dm755 packaging/edera-falcod "$root/usr/bin/edera-falcod"
install -Dm644 -t "$root/lib/systemd/system" systemd/*.service systemd/*.socket
install -Dm644 systemd/sysusers.conf "$root/usr/lib/sysusers.d/edera-falcod.conf"
install -Dm644 systemd/tmpfiles.conf "$root/usr/lib/tmpfiles.d/edera-falcod.conf"
install -Dm644 systemd/config.toml "$root/etc/edera-falcod/config.toml"

doc=$root/usr/share/doc/edera-falcod
install -d "$doc/examples"
cp -r docs README.md CHANGELOG.md SECURITY.md "$doc/"
cp -r examples/. systemd/metrics-loopback.conf "$doc/examples/"
find "$doc" -type f -exec chmod 644 {} +
find "$doc" -type d -exec chmod 755 {} +
gzip -9nc packaging/debian/changelog > "$doc/changelog.gz"
install -Dm644 packaging/debian/lintian-overrides "$root/usr/share/lintian/overrides/edera-falcod"

say "man pages, completions, SBOM"
date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)
PYTHONPATH=$lib/python PYTHONDONTWRITEBYTECODE=1 "$python" tools/cli_files.py "$work/cli" --date "$date" >/dev/null
install -d "$root/usr/share/man/man1"
for page in "$work"/cli/man/*.1; do gzip -9nc "$page" > "$root/usr/share/man/man1/${page##*/}.gz"; done
install -Dm644 "$work/cli/completions/edera-falcod.bash" "$root/usr/share/bash-completion/completions/edera-falcod"
install -Dm644 "$work/cli/completions/_edera-falcod" "$root/usr/share/zsh/vendor-completions/_edera-falcod"
install -Dm644 "$work/cli/completions/edera-falcod.fish" "$root/usr/share/fish/vendor_completions.d/edera-falcod.fish"
"$work/venv/bin/python" tools/sbom.py --python "$lib/python" --file "$lib/libedera_shim.so" --output "$doc/sbom.cdx.json"
"$work/venv/bin/python" tools/sbom.py --python "$lib/python" --copyright "$doc/copyright"

say "packing"
cd "$work"
cp src/packaging/debian/control src/packaging/debian/changelog debian/
minor=$("$python" -c 'import sys; print(f"3.{sys.version_info[1]}")')
next=$("$python" -c 'import sys; print(f"3.{sys.version_info[1] + 1}")')
# Wheels of others carry what they need beside libc.
mapfile -d '' binaries < <(find "$root" -name '*.so' -print0)
dpkg-shlibdeps -O --ignore-missing-info "$lib/shimcat" "${binaries[@]}" 2>"$work/log" > debian/substvars || { cat "$work/log" >&2; exit 1; }
echo "python:Depends=python3 (>= $minor), python3 (<< $next)" >> debian/substvars
mkdir -p "$root/DEBIAN"
install -m755 src/packaging/debian/postinst src/packaging/debian/prerm src/packaging/debian/postrm "$root/DEBIAN/"
install -m644 src/packaging/debian/conffiles "$root/DEBIAN/"
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) > "$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
dpkg-gencontrol -pedera-falcod -P"$root" -Tdebian/substvars
dpkg-deb --root-owner-group -Zxz --build "$root" "$out" >/dev/null
cp "$doc/sbom.cdx.json" "$out/edera-falcod-$(dpkg-parsechangelog -l debian/changelog -S Version).cdx.json"
[ "$compile" != 1 ] || cp "$work"/wheel/*.whl "$out/"
say "$out/$(cd "$out" && ls -t edera-falcod_*.deb | head -n 1)"
