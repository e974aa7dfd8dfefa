#!/bin/sh
# Resolve the dependencies of pyproject.toml anew into constraints/: exact versions with SHA-256 hashes, valid for
# Python 3.11 to 3.13 on Linux (x86_64, aarch64), without the address of any index. Needs uv; everything else needs pip.
set -eu
cd "$(dirname "$0")/.."
uv=$(command -v .venv/bin/uv || command -v uv) || {
    echo 'lock: uv is missing. Remedy: pip install uv' >&2
    exit 1
}
resolve() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
        --no-header --only-binary :all: "$@"
}
resolve pyproject.toml constraints/build.in --extra kafka --extra influx --extra postgres --extra fast --upgrade \
    --output-file constraints/base.txt
resolve pyproject.toml constraints/build.in --extra dev --upgrade --constraints constraints/base.txt \
    --output-file constraints/dev.txt
! grep -nE '://|index-url|find-links' constraints/*.txt
