#!/bin/sh
# Run every benchmark in turn, or those that BENCHMARKS names; each prints its figures as JSON and as one line for people.
# The films that probing is measured with lie in CORPUS, or are made once for all. See `make bench`.
set -eu
cd "$(dirname "$0")/.."

if [ -z "${BENCHMARKS:-}" ]; then
    BENCHMARKS=$(cd benchmarks && echo [!_]*.py | sed 's/\.py//g')
fi
if [ -z "${CORPUS:-}" ]; then
    made=$(mktemp -d)
    trap 'rm -rf "$made"' EXIT
    echo "== making films (half a minute); CORPUS=DIR names some instead"
    .venv/bin/python -m benchmarks._corpus "$made"
    CORPUS=$made/films
fi
export CORPUS FFPROBE FFMPEG

failed=""
for benchmark in $BENCHMARKS; do
    echo "== $benchmark"
    .venv/bin/python -m "benchmarks.$benchmark" || failed="$failed $benchmark"
done
[ -z "$failed" ] || { echo "Did not succeed:$failed" >&2; exit 1; }
