#!/bin/sh
# Serve the folder DIR on PORT; without DIR, a folder of demo clips made for the purpose. See `make run`.
set -eu
cd "$(dirname "$0")/.."

case ${DIR:-} in # not every shell expands the ~ in `make run DIR=~/Videos`
    "~") DIR=$HOME ;;
    "~/"*) DIR=$HOME/${DIR#"~/"} ;;
esac

if [ -n "${DIR:-}" ]; then
    if [ ! -d "$DIR" ]; then
        echo "DIR=$DIR is not a folder. Name the folder your videos are in: make run DIR=~/Videos" >&2
        exit 1
    fi
    exec .venv/bin/stoat serve "$DIR" --port "${PORT:-8765}"
fi

# Made aside and then renamed, so that a folder that exists is whole, and clips deleted from it stay deleted.
if [ ! -d demo-footage ]; then
    echo "Making demo clips in demo-footage (once; under a minute)"
    .venv/bin/python tools/demo_clips.py .cache/demo-footage
    mv .cache/demo-footage demo-footage
fi
exec .venv/bin/stoat serve demo-footage --port "${PORT:-8765}" --data-dir demo-data
