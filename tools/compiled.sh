#!/bin/sh
# Builds the compiled core in a copy of the tree: tools/compiled.sh FOLDER. The tree itself stays interpreted.
set -eu
target=${1:?usage: tools/compiled.sh FOLDER}
python=${PYTHON:-$PWD/.venv/bin/python}
tools/source.sh "$target"
[ -d shim/build ] || [ -f shim/libedera_shim.so ] && cp -p shim/*.so shim/shimcat "$target/shim/" 2>/dev/null || true
cd "$target"
echo "compiled: building in $target (about two minutes)"
EDERA_FALCOD_COMPILE=1 "$python" setup.py --quiet build_ext --inplace >build.log 2>&1 || { tail -n 40 build.log >&2; exit 1; }
