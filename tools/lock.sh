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
# The tests' packages decide: what a user runs is a part of what was tested, in the same versions.
resolve pyproject.toml constraints/build.in --extra dev --upgrade --output-file constraints/dev.txt
sed '/^ *--hash/d; s/ *\\$//' constraints/dev.txt >constraints/.versions
resolve pyproject.toml constraints/build.in --extra kafka --extra influx --extra postgres --extra fast --upgrade \
    --constraints constraints/.versions --output-file constraints/base.txt
rm constraints/.versions
! grep -nE '://|index-url|find-links' constraints/*.txt
