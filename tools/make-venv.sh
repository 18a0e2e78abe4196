#!/bin/sh
# make-venv.sh PYTHON VENV: a virtual environment with the vault and its tools, or a sentence that says what is missing.
set -eu
python=$1
venv=$2
cd "$(dirname "$0")/.."

if ! command -v "$python" >/dev/null 2>&1; then
    sh tools/system-packages.sh python3 python3-venv
fi
if ! command -v "$python" >/dev/null 2>&1; then
    echo "There is no $python. Install Python 3.11 or later: apt-get install python3 python3-venv" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$("$python" --version) is too old: the vault needs 3.11 or later (Debian 12, Ubuntu 24.04)." >&2
    echo "Where a newer one has another name: make PYTHON=python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip' >/dev/null 2>&1; then
    version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    sh tools/system-packages.sh "$version" || sh tools/system-packages.sh python3-venv
    if ! "$python" -c 'import ensurepip' >/dev/null 2>&1; then
        echo "$python can't make virtual environments. Run as root: apt-get install $version" >&2
        exit 1
    fi
fi

[ -x "$venv/bin/python" ] && "$venv/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
