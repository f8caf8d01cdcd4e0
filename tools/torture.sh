#!/bin/sh
# Break the program in every way in turn; each part prints its figures as JSON and as one line for people. See
# `make torture`. STOAT_TORTURE_ENGINES="sqlite" leaves out Postgres.
set -eu
cd "$(dirname "$0")/.."

# Debian's package for a program that a part drives, installed where that needs no question; else the part says that it
# is left out.
if ! command -v strace >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing strace, which makes system calls fail" >&2
    {
        DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends strace
    } >/dev/null || echo "strace could not be installed, for the reason above." >&2
fi

failed=""
run() {
    echo "== $*"
    .venv/bin/python -m "$@" || failed="$failed $1"
}

for engine in ${STOAT_TORTURE_ENGINES:-sqlite postgres}; do
    case $engine in
        sqlite)
            run torture.kills --kills 250
            run torture.storage_faults --faults 300
            run torture.worker_deaths --deaths 200
            run torture.probe_deaths --deaths 2000
            run torture.sequences --sequences 2000
            ;;
        postgres) run torture.kills --engine postgres --kills 250 --workers 2 ;;
        *) echo "There is no part for the database '$engine'." >&2 && exit 1 ;;
    esac
done
[ -z "$failed" ] || { echo "Did not succeed:$failed" >&2; exit 1; }
