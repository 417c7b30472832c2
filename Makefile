# `make demo` and `make test` are all a newcomer needs; both install into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
STAMP := $(VENV)/installed

.PHONY: help demo validate bench test check format clean
.DELETE_ON_ERROR:

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

# Installed as a copy, not in place: the demo and the tests run what a user gets.
$(STAMP): pyproject.toml $(wildcard cmon/* cmon/web/*)
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on '.[test,check]'
	@touch $@

demo: $(STAMP) ## draw a world, train two networks on it, and show what their neurons learn (about 6 minutes)
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo.sh $(DEMO)

validate: demo ## whether labels are right and significance honest, on the demo's world and networks (2 minutes more)
	$(BIN)/python scripts/validate_labels.py $(DEMO)/workspace --truth $(DEMO)/probe/truth.csv

bench: demo ## time every stage beside a plain way (half an hour; extraction too, with PHOTOS=FOLDER)
	$(BIN)/python scripts/bench_score.py
	$(if $(PHOTOS),$(BIN)/python scripts/bench_extract.py $(PHOTOS))
	$(BIN)/python scripts/bench_report.py
	$(BIN)/python scripts/bench_layouts.py $(DEMO)/workspace --anchors data/concepts/world_anchors.csv

test: $(STAMP) ## run the tests
	$(BIN)/pytest

check: $(STAMP) ## ruff, mypy, and whether generated documents are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/references.py --check README.md

format: $(STAMP) ## format the code and write the README's references of commands and tables anew
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python scripts/references.py README.md

clean: ## remove the demo, caches and the virtual environment
	rm -rf $(DEMO) $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
