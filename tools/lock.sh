#!/bin/sh
# Pin every dependency, with hashes, for all supported systems and Pythons; see `make lock`.
#
#   tools/lock.sh             keep present pins where they still fit
#   tools/lock.sh --upgrade   take the newest of everything
set -eu
cd "$(dirname "$0")/.."

uv_version=0.13.9 # another version may write the same pins in another way
if ! .venv/bin/uv --version 2>/dev/null | grep -q "^uv $uv_version"; then
    .venv/bin/python -m pip install --disable-pip-version-check --quiet "uv==$uv_version"
fi

# The fork strategy keeps one version of each package for every Python, so that all of them run the same decoders.
pin() {
    echo "Pinning $1"
    output=$1
    shift
    .venv/bin/uv pip compile --quiet --no-config --universal --fork-strategy fewest --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
        --output-file "$output" "$@"
}

pin requirements.txt pyproject.toml "$@"
pin requirements-dev.txt pyproject.toml --extra dev --constraint requirements.txt "$@"
# What builds the project itself. An editable build asks for `editables` on top of what pyproject.toml names.
.venv/bin/python -c '
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["build-system"]["requires"], "editables", sep="\n")
' | pin requirements-build.txt - --constraint requirements-dev.txt "$@"
