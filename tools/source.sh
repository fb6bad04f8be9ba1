#!/bin/sh
# Copies the tree without what was built in it: tools/source.sh FOLDER. Of a git checkout what git knows or would add, else all.
set -eu
mkdir -p "${1:?usage: tools/source.sh FOLDER}"
target=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    # Files that are deleted but not yet committed are in git's list.
    git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c 'for file; do [ ! -e "$file" ] || printf "%s\0" "$file"; done' sh |
        tar --null --files-from=- -cf - | tar -xf - -C "$target"
else
    tar --exclude=./dist --exclude=./build --exclude=./.venv --exclude='./.*_cache' --exclude=./.hypothesis --exclude='./*.egg-info' \
        --exclude=./shim/shimcat --exclude=./shim/asan --exclude=./shim/tsan --exclude='*.so' --exclude='*.o' --exclude=__pycache__ \
        -cf - . | tar -xf - -C "$target"
fi
