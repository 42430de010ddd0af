# Everything runs in .venv, which these targets create; nothing else on the machine is touched.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo studies test check bench clean

demo: .venv/installed
	$(BIN)/python scripts/demo.py --out runs/demo

# MNIST: from NNLAB_DATA_DIR, else from a folder beside this one if there is one, else through TFDS.
studies: export NNLAB_DATA_DIR ?= $(abspath $(wildcard ../shared/data))
studies: .venv/installed
	$(BIN)/python scripts/studies.py --out runs

test: .venv/installed-test
	$(BIN)/python -m pytest

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: .venv/installed  # 45 minutes on two cores: leave the machine alone meanwhile
	$(BIN)/python -m benchmarks.side_by_side
	$(BIN)/python -m benchmarks.all_optimizers --rounds 9
	$(BIN)/python -m benchmarks.recording
	$(BIN)/python -m benchmarks.flat_cost
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.prediction

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nnlab needs Python 3.11 or newer, this is " + sys.version)'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-test: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ .venv/installed

.venv/installed-dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ .venv/installed-test .venv/installed
