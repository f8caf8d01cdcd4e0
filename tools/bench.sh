#!/bin/sh
# Run every benchmark in turn; each prints its figures as JSON and as one line for people. See `make bench`.
set -eu
cd "$(dirname "$0")/.."

failed=""
for benchmark in benchmarks/[!_]*.py; do
    [ -e "$benchmark" ] || { echo "There is no benchmark in benchmarks/." >&2; exit 1; }
    echo "== $benchmark"
    .venv/bin/python -m "benchmarks.$(basename "$benchmark" .py)" || failed="$failed $benchmark"
done
[ -z "$failed" ] || { echo "Did not succeed:$failed" >&2; exit 1; }
