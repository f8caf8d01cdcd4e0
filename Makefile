# Everything starts here: `make` lists what there is. Needs Python 3.11 or newer and make, nothing else;
# whatever is longer than a line or two lives in tools/.

PYTHON ?=
DIR =
PORT = 8765
UPGRADE =
FFPROBE =
JSON =
ALL =
FUZZ =
CORPUS =
FFMPEG =
BENCHMARKS =
export PYTHON DIR PORT CORPUS FFPROBE FFMPEG BENCHMARKS

# Present parts of the tree, for the tools that refuse a folder that is not there.
SOURCES = $(wildcard src tests tools benchmarks torture)

.DEFAULT_GOAL := help
.PHONY: help run test coverage check fix bench torture fuzz oracle docs lock clean distclean venv venv-dev

help: ## list these targets
	@echo "stoat-ferret: a video library you can script"
	@echo
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  make run DIR=~/Videos PORT=8765    serve your own folder"
	@echo "  make test PYTHON=python3.13        with a certain Python (remakes .venv)"

run: venv ## serve demo clips, or the folder DIR, on port PORT
	@tools/run.sh

test: venv-dev ## run all tests (a quarter of an hour; half an hour on a slow machine)
	@tools/test.sh

coverage: venv-dev ## the same with branch coverage, which must reach 95 % (nearly twice as long)
	@tools/test.sh coverage

check: venv-dev ## lint, formatting, types, import directions, pins (seconds)
	.venv/bin/ruff check --quiet .
	.venv/bin/ruff format --check --quiet .
	.venv/bin/mypy --no-error-summary $(SOURCES)
	.venv/bin/lint-imports
	.venv/bin/python tools/check_pins.py

fix: venv-dev ## repair what lint and formatting can repair by themselves
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: venv-dev ## run every benchmark (half an hour), or some: BENCHMARKS="probing reads" CORPUS=DIR (minutes)
	@tools/bench.sh

torture: venv-dev ## kill it, fail its disk, stop it: the proof by breaking things (nearly two hours)
	@tools/torture.sh

fuzz: venv-dev ## give the probe 50,000 damaged files; FUZZ="--seed 5 --keep DIR" says how (minutes)
	@.venv/bin/python -m torture.fuzz $(FUZZ)

oracle: venv-dev ## hold what we say of the files below DIR against an ffprobe, field by field
	@[ -n "$(DIR)" ] || { echo "Say which folder: make oracle DIR=~/Videos [FFPROBE=...]" >&2; exit 2; }
	@.venv/bin/python -m tools.oracle "$(DIR)" $(if $(FFPROBE),--ffprobe "$(FFPROBE)") $(if $(JSON),--json "$(JSON)") $(if $(ALL),--all)

docs: venv-dev ## write docs/reference anew from the code
	@if [ -e tools/make_reference.py ]; then .venv/bin/python tools/make_reference.py; \
	else echo "There is no reference to write yet."; fi

lock: venv-dev ## pin the dependencies anew (UPGRADE=1: the newest of everything)
	@tools/lock.sh $(if $(UPGRADE),--upgrade)

clean: ## remove caches, measurements and the demo; keep .venv
	rm -rf .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov
	rm -rf build dist demo-footage demo-data
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf .venv

venv:
	@tools/venv.sh run

venv-dev:
	@tools/venv.sh dev
