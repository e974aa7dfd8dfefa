#!/bin/sh
# Make .venv and install into it what a checkout needs: `tools/setup.sh base` to run, `tools/setup.sh dev` to test as well.
# Only packages whose version and SHA-256 stand in constraints/ are installed. PYTHON=... names the interpreter to use.
set -eu
what=${1:?say base or dev}
cd "$(dirname "$0")/.."
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

find_python() {
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if "$name" -c "$new_enough" 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    fail "Python 3.11 or newer is missing (tried: ${PYTHON:-python3, python3.13, python3.12, python3.11, python})." \
        "Remedy: install it (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make demo PYTHON=/path/to/python3"
}

if ! { .venv/bin/python -c "$new_enough" && .venv/bin/python -m pip --version; } >/dev/null 2>&1; then
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no module venv with ensurepip." "Remedy: apt-get install python3-venv (Debian, Ubuntu)"
    echo "setup: making .venv with $("$python" --version) ($python)"
    "$python" -m venv --clear .venv || fail "the virtual environment could not be made; the lines above say why"
fi

echo "setup: installing constraints/$what.txt (once; it takes a minute)"
pip="env PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip --quiet --require-virtualenv"
$pip install --no-compile --no-deps --require-hashes --only-binary :all: --requirement "constraints/$what.txt" ||
    fail "the packages could not be installed; the lines above say why." \
        "Remedy: check that this machine reaches a Python package index (https, proxy), then run the same command again"
$pip install --no-deps --no-build-isolation --no-index --editable . || fail "mcisd itself could not be installed"
# Bytecode in one go on all processors: faster than pip does it, and the first start is not slow.
.venv/bin/python -m compileall -q -j 0 .venv/lib mcisd >/dev/null || true # some packages carry files of other versions
touch .venv/.base-done ".venv/.$what-done"
