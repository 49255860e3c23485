# One virtual environment, two levels: `make demo` needs what a run needs; `make test` and `make check` add the
# tools. Each level has a stamp, so that it is installed once and again when pyproject.toml changes.

VENV  ?= .venv
BIN   := $(VENV)/bin
RUN   := $(VENV)/.installed-run
DEV   := $(VENV)/.installed-dev
PIP   := $(BIN)/python -m pip --disable-pip-version-check
PYTHON ?=

.PHONY: help setup demo test test-slow check fix clean

help:
	@echo "make demo       set up, then one small run on MountainCar-v0 in ./experiments (minutes)"
	@echo "make test       set up with the tools, then every quick test"
	@echo "make test-slow  the tests that take minutes each"
	@echo "make check      formatting, lint, types, import contracts"
	@echo "make fix        let ruff repair what it can"
	@echo "make setup      the virtual environment with everything, and nothing else"
	@echo "make clean      remove .venv, caches and built files; never ./experiments"

setup: $(DEV)

demo: $(RUN)
	$(BIN)/experimenter run "reach the flag" --env MountainCar-v0 --budget-steps 1000000 --seed 0 --yes

test: $(DEV)
	$(BIN)/python -m pytest -n auto

test-slow: $(DEV)
	$(BIN)/python -m pytest -m slow --timeout 3600

check: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(DEV)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './experiments/*' -prune -exec rm -rf {} +

# Any Python from 3.11 on: the one that PYTHON names, or the first that is new enough and has the venv module.
$(BIN)/python:
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "making $(VENV) with $$($$python --version)"; exec "$$python" -m venv $(VENV); \
	  fi; \
	done; \
	echo "No Python >= 3.11 with the venv module was found (tried: $(or $(PYTHON),python3, python3.11 to python3.14))." >&2; \
	echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; \
	exit 1

$(RUN): pyproject.toml | $(BIN)/python
	$(PIP) install --quiet -e .
	@touch $@

# torch first and by its bound: an open one takes gigabytes of CUDA packages.
$(DEV): $(RUN)
	$(PIP) install --quiet "$$($(BIN)/python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["torch"][0])')"
	$(PIP) install --quiet -e '.[dev]'
	@touch $@
