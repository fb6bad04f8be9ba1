#!/bin/bash
# Builds everything that is released: tools/packages.sh FOLDER
#
#   edera_falcod-VERSION.tar.gz                 source, from which daemon and shim build anywhere
#   edera_falcod-VERSION-py3-none-any.whl       the daemon, interpreted: any Python 3.11 or later
#   edera_falcod-VERSION-cp3XX-...whl           the daemon, compiled for this Python and processor
#   edera-falcod_VERSION_ARCH.deb               all of it for Debian 12
#   edera-plugin/                               the shim as an OCI artifact for falcoctl; for arm64 too where its compiler is installed
#   edera-falcod-VERSION.cdx.json               CycloneDX SBOM of what is in the .deb
#   SHA256SUMS
set -euo pipefail
out=$(realpath -m "${1:?usage: tools/packages.sh FOLDER}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-.venv/bin/python}
say() { echo "packages: $*"; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 1; }; }
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y pyproject.toml)
fi
export SOURCE_DATE_EPOCH
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
mkdir -p "$out"
# What an earlier run left is not to be taken for what this one made.
rm -rf "$out"/edera_falcod-*.tar.gz "$out"/edera_falcod-*.whl "$out"/edera-falcod_*.deb "$out"/edera-falcod-*.cdx.json "$out"/edera-plugin "$out"/SHA256SUMS

say "source and wheel"
tools/source.sh "$work/src"
# The wheel is built from the source archive, not from the tree: so the archive has all it takes.
quietly "$python" -m build --outdir "$out" "$work/src"

tools/deb.sh "$out"

say "the plugin for falcoctl"
declare -A compilers=([x86_64]=amd64 [aarch64]=arm64)
libraries=()
for machine in "${!compilers[@]}"; do
    if [ "$(uname -m)" = "$machine" ]; then prefix=; else prefix=$machine-linux-gnu-; fi
    command -v "${prefix}gcc" >/dev/null || { say "not for linux/${compilers[$machine]}: ${prefix}gcc is not installed"; continue; }
    quietly make -C "$work/src/shim" all "BUILD=$work/$machine" "CC=${prefix}gcc"
    "${prefix}strip" --strip-unneeded "$work/$machine/libedera_shim.so"
    libraries+=("linux/${compilers[$machine]}=$work/$machine/libedera_shim.so")
done
"$python" tools/oci.py make --output "$out/edera-plugin" --version "$version" "${libraries[@]}" | sed 's/^/packages: /'

(cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum > SHA256SUMS)
say "$(wc -l < "$out/SHA256SUMS") files in $out"
