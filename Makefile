# `make run` and `make test` do all the set-up in a virtual environment of their own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# A file's tests stay in one process, with what they share. Bytecode is kept, even where the shell
# asks for none: the tests start a thousand processes, and compiling is a third of a short one.
PYTEST := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX=$(CURDIR)/$(VENV)/pycache \
	$(BIN)/python -m pytest -n auto --dist loadfile

.PHONY: run fast test test-slow stress lint types check docs clean

run: $(READY)
	$(BIN)/recipe run quickstart.yaml

# What every edit can wait for: no torch, no other process.
fast: $(READY)
	$(PYTEST) -m fast

test: $(READY)
	$(PYTEST) -m "not slow" --ignore tests/stress

# SLOW="slow and not nightly" leaves out those that take longest.
test-slow: SLOW ?= slow
test-slow: $(READY)
	$(PYTEST) -m "$(SLOW)" --durations 20

# Kills, faults, power losses, damage and fuzzing with every case; KHICHDI_CASES is a percentage.
stress: export KHICHDI_CASES ?= 100
stress: $(READY)
	$(PYTEST) -m campaign --durations 20

check: lint types

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy -p khichdi

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# The packaged JSON Schema, and the tables of docs/language.md.
docs: $(READY)
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) .khichdi build *.egg-info

# The documentation site, in site/; a broken link fails.
.PHONY: site
site: $(READY)
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/mkdocs build --strict
