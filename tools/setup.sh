#!/bin/sh
# Makes the virtual environment: tools/setup.sh FOLDER. Needs Python 3.11 or newer and a C compiler; as root on Debian it installs what is
# missing, else it says what to install.
set -eu
venv=${1:?usage: tools/setup.sh FOLDER}
python=${PYTHON:-python3}

missing=
if ! command -v "$python" >/dev/null; then
    missing="python3 python3-venv"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: $("$python" -V) is too old, 3.11 or newer is needed; name another: make PYTHON=/path/to/python3" >&2
    exit 1
else
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing="python3-venv"
fi
command -v cc >/dev/null || missing="${missing:+$missing }gcc"
# Debian's gcc alone has no headers of libc.
echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1 || missing="${missing:+$missing }libc6-dev"
command -v make >/dev/null || missing="${missing:+$missing }make"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing $missing"
        export DEBIAN_FRONTEND=noninteractive
        # shellcheck disable=SC2086
        log=$(apt-get update -qq 2>&1 && apt-get install -y -qq --no-install-recommends $missing 2>&1) || {
            echo "$log" >&2
            echo "setup: apt-get could not install $missing" >&2
            exit 1
        }
    else
        echo "setup: missing here: $missing. As root: apt-get install $missing" >&2
        exit 1
    fi
fi
echo "setup: making $venv (about a minute the first time)"
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -e '.[dev]'
