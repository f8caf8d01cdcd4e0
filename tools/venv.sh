#!/bin/sh
# Fill .venv with what the lock files say and with this project: `tools/venv.sh` to run it, `tools/venv.sh dev` to
# change it. PYTHON names the interpreter; without it the first one that is new enough is taken.
#
# Each finished install leaves a stamp in .venv: a checksum of all that decides the result. A run that finds its stamp
# does nothing, in milliseconds; a changed lock file, interpreter or checkout folder makes it act.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "$1" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

version_of() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || echo "none"
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        [ "$(version_of "$PYTHON")" != none ] || fail "PYTHON=$PYTHON does not run: name a Python 3.11 or newer."
        new_enough "$PYTHON" ||
            fail "PYTHON=$PYTHON is Python $(version_of "$PYTHON"), and 3.11 or newer is needed."
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed (python3 here: $(version_of python3)). Install one, or name it: make PYTHON=/path/to/python3"
}

# Whether .venv is whole, was made in this folder, and with the interpreter that was asked for.
venv_is_good() {
    [ -x .venv/bin/python ] && [ "$(version_of .venv/bin/python)" != none ] || return 1
    [ ! -e .venv/.folder ] || [ "$(cat .venv/.folder)" = "$PWD" ] || return 1
    [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of .venv/bin/python)" ]
}

make_venv() {
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "Python $(version_of "$python") lacks its venv module: install it (Debian, Ubuntu: apt install python3-venv)."
    echo "Making .venv with Python $(version_of "$python")"
    rm -rf .venv
    "$python" -m venv .venv
    pwd >.venv/.folder
}

install() {
    .venv/bin/python -m pip install --disable-pip-version-check --no-input --quiet "$@" ||
        fail "The install did not succeed, for the reason above; run the same command again to go on."
}

checksum() {
    { version_of .venv/bin/python && cat "$1" requirements-build.txt pyproject.toml; } | cksum
}

kind=${1:-run}
case $kind in
    run) lock=requirements.txt ;;
    dev) lock=requirements-dev.txt ;;
    *) fail "usage: tools/venv.sh [dev]" ;;
esac

if [ -n "${PYTHON:-}" ]; then
    find_python >/dev/null # a wrong PYTHON is told of before a good .venv is thrown away
fi
venv_is_good || make_venv

wanted=$(checksum "$lock")
if [ "$(cat ".venv/.installed-$kind" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
echo "Installing $(grep -c '^[a-z].*==' "$lock") pinned packages into .venv (half a minute or so, the first time)"
export PIP_USER=0 # a personal default of --user cannot work inside a virtual environment
.venv/bin/python -c 'import pip' 2>/dev/null || .venv/bin/python -m ensurepip >/dev/null
install --require-hashes --only-binary :all: --requirement requirements-build.txt
install --require-hashes --only-binary :all: --requirement "$lock"
install --no-deps --no-build-isolation --editable .
echo "$wanted" >".venv/.installed-$kind"
if [ "$kind" = dev ]; then
    checksum requirements.txt >.venv/.installed-run # the tools come on top of all that is needed to run
fi
