# Two commands need nothing prepared but a Python of 3.11 or 3.12:
#   make demo    installs GraphKit into .venv and runs the main job end to end
#   make test    installs the extras too and runs every check
# PYTHON=/path/to/python3.12 chooses another interpreter; VENV=folder another place.

SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
# Kernels of the size that tests have are slower on several threads than on one.
TEST_ENV = OMP_NUM_THREADS=1 MPLBACKEND=Agg PYTHONHASHSEED=0
WORKERS ?= 2

.PHONY: help demo test test-real bench lint types format clean
.DELETE_ON_ERROR:

help:
	@echo "make demo        run the main job end to end on a graph that needs no download"
	@echo "make test        lint, layers, types, tests, doctests, notebooks"
	@echo "make test-real   the slower learning checks on real data (GRAPHKIT_MIRROR)"
	@echo "make bench       paper tables and speed, into benchmarks/"
	@echo "make lint        ruff and the import layers;  make types: mypy;  make format: ruff format"
	@echo "make clean       remove $(VENV) and caches"

demo: $(VENV)/.demo
	$(BIN)/graphkit demo

test: lint types
	$(TEST_ENV) $(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow and not bench"
	$(TEST_ENV) GRAPHKIT_HOME=$(abspath $(VENV))/.graphkit $(BIN)/python -m pytest -q --nbmake --nbmake-timeout=300 tutorials

test-real: $(VENV)/.test
	$(TEST_ENV) $(BIN)/python -m pytest -q -m "real or slow" tests

bench: $(VENV)/.test
	$(BIN)/graphkit bench run
	$(BIN)/graphkit bench report
	$(BIN)/python benchmarks/ops/kernels.py
	$(BIN)/python benchmarks/speed/layers.py
	$(BIN)/python benchmarks/speed/memory.py
	$(BIN)/python benchmarks/speed/scaling.py
	$(BIN)/python benchmarks/speed/relational.py
	$(BIN)/python benchmarks/loading/loading.py
	$(BIN)/python benchmarks/links/neighbors.py
	$(BIN)/python benchmarks/analysis/graphlets.py
	$(BIN)/python benchmarks/analysis/concentration.py
	$(BIN)/python benchmarks/molecules/featurise.py
	$(BIN)/python benchmarks/temporal/sampler.py
	$(BIN)/python benchmarks/temporal/pres.py
	$(BIN)/python benchmarks/scale/neighbours.py
	$(BIN)/python benchmarks/explain/gnnexplainer_speed.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.test
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# An interpreter counts only if it really runs, is 3.11 or 3.12, and can make environments.
$(BIN)/python:
	@for python in "$(PYTHON)" python3.11 python3.12 python3 python; do \
	  if [ -n "$$python" ] && "$$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	    2>/dev/null; then echo "making $(VENV) with $$python"; exec "$$python" -m venv $(VENV); fi; \
	done; \
	echo "error: no Python 3.11 or 3.12 with venv found; name one: make PYTHON=/path/to/python3.12" >&2; exit 2

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing GraphKit and what it stands on into $(VENV); the first time this takes minutes"
	$(INSTALL) -e .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing GraphKit with all extras into $(VENV); the first time this takes minutes"
	$(INSTALL) -e ".[chem,search,hdf,bench,dev]"
	@touch $(VENV)/.demo $@
