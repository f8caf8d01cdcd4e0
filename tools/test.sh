#!/bin/sh
# Run every test on two processes; `test.sh coverage` holds branch coverage, child processes included, to its floor too.
set -eu
measure="${1:-}"
cd "$(dirname "$0")/.."

# Debian's package for a program that tests drive, installed where that needs no question; else the tests are left out.
have_program() {
    command -v "$1" >/dev/null 2>&1 && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing $1, which tests need"
        {
            DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
                DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1"
        } >/dev/null || echo "$1 could not be installed, for the reason above." >&2
    fi
    command -v "$1" >/dev/null 2>&1
}

set --
if ! have_program chromium; then
    left_out="Left out: the tests marked 'browser', because there is no chromium here. Install Debian's package chromium to run them."
    echo "$left_out" >&2
    set -- -m "not browser"
fi

have_program strace || echo "Hostile files are watched by inotify alone, because there is no strace." >&2

have_program b3sum || echo "Left out: the test that has b3sum check a manifest." >&2

# Hundreds of processes are started; where byte code may not be written, each would compile all of this anew.
.venv/bin/python -m compileall -q src tests torture tools

if [ "$measure" = coverage ]; then
    # `coverage run` measures this process; patch = subprocess in pyproject.toml carries on into the test processes that
    # pytest-xdist starts and into every server and worker that these start. Each writes a file of its own; combine joins them.
    rm -f .coverage .coverage.*
    .venv/bin/coverage run -m pytest -n 2 --dist worksteal "$@"
    .venv/bin/coverage combine --quiet
    .venv/bin/coverage report --fail-under=95
else
    .venv/bin/python -m pytest -n 2 --dist worksteal "$@"
fi
[ -z "${left_out:-}" ] || echo "$left_out" >&2
