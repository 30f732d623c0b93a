#!/bin/sh
# Writes the pinned files anew from the .in files: hashes for every wheel, no index named. Needs `pip install uv`.
set -eu
cd "$(dirname "$0")"
pin() { uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --prerelease=if-necessary-or-explicit "$@"; }
pin dev.in -o dev.txt
pin -c dev.txt run.in -o run.txt
pin -c dev.txt mongo.in -o mongo.txt
