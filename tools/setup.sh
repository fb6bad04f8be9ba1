#!/bin/sh
# Makes the virtual environment: tools/setup.sh FOLDER. Needs Python 3.11 or newer; says what to install when something is missing.
set -eu
venv=${1:?usage: tools/setup.sh FOLDER}
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "setup: $python is not Python 3.11 or newer; install it or name another: make PYTHON=/path/to/python3" >&2
    exit 1
}
for tool in gcc make; do
    command -v "$tool" >/dev/null || { echo "setup: $tool is missing: apt-get install gcc make libc6-dev" >&2; exit 1; }
done
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing python3-venv"
        apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    else
        echo "setup: this Python has no venv: apt-get install python3-venv" >&2
        exit 1
    fi
fi
echo "setup: making $venv (about a minute the first time)"
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -e '.[dev]'
