#!/bin/sh
# Make a virtual environment with alert-harness in it, or bring the one there up to date: sh ci/venv.sh FOLDER
# Works on a fresh Debian or Ubuntu, where python3 comes without venv and pip.
set -eu
folder=$1

python=
for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "No Python 3.11 or later was found; install one (apt-get install python3) or set PYTHON." >&2
    exit 3
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "python3-venv is missing: installing it with apt-get" >&2
        apt-get update -q >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -qy python3-venv >/dev/null
    else
        echo "Python's venv module is missing; install it: sudo apt-get install python3-venv" >&2
        exit 3
    fi
fi

# What is there is used if its pip works, belongs to this folder (one that was moved or copied does not), and is of the
# same Python.
origin='import sys; print(sys.base_prefix, sys.version)'
mkdir -p "$(dirname "$folder")"
here=$(cd "$(dirname "$folder")" && pwd)/$(basename "$folder")
if ! [ "$("$folder/bin/python" -c "$origin" 2>&1)" = "$("$python" -c "$origin")" ] ||
    ! "$folder/bin/pip" --version 2>/dev/null | grep -qF " from $here/"; then
    rm -rf "$folder"
    "$python" -m venv "$folder"
fi
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]' --editable ./fixtures/streaming
