# `make demo` and `make test` are all a newcomer needs; both install into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
STAMP := $(VENV)/installed
EXTRAS := test,check,docs
export NO_MKDOCS_2_WARNING := 1

.PHONY: help demo validate case-studies bench test soak fuzz check docs format clean
.DELETE_ON_ERROR:

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

# Installed in place, so that a change of the code needs no new installation; CI tries the wheel, too.
$(STAMP): pyproject.toml
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on -e '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP) ## draw a world, train two networks on it, and show what their neurons learn (about 6 minutes)
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo/demo.sh $(DEMO)

validate: demo ## whether labels are right and significance honest, on the demo's world and networks (2 minutes more)
	$(BIN)/python -m scripts.validation.labels $(DEMO)/workspace --truth $(DEMO)/probe/truth.csv

case-studies: $(STAMP) ## the four use cases of Concept-Monitor, three seeds of every recipe (up to an hour)
	$(BIN)/python scripts/cases/run.py

bench: demo ## time every stage beside a plain way (half an hour; extraction too, with PHOTOS=FOLDER)
	$(BIN)/python -m scripts.bench.score
	$(BIN)/python -m scripts.bench.read_units
	$(BIN)/python -m scripts.bench.growth
	$(if $(PHOTOS),$(BIN)/python -m scripts.bench.extract $(PHOTOS))
	$(BIN)/python -m scripts.bench.report
	$(BIN)/python -m scripts.bench.new_epoch
	$(BIN)/python -m scripts.bench.layouts $(DEMO)/workspace --anchors data/concepts/world_anchors.csv \
	    $(if $(PHOTOGRAPHS),--photographs $(PHOTOGRAPHS) --photograph-anchors $(PHOTOGRAPH_ANCHORS))

# A file of tests stays in one process; torch's own threads would wait for each other there. tests/conftest.py has the
# long files begin first.
test: $(STAMP) ## run the tests, on all cores
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

soak: $(STAMP) ## break every stage at 300 instants and compare the tables (half an hour)
	OMP_NUM_THREADS=1 $(BIN)/python -m scripts.soak.sweep --points 300

fuzz: $(STAMP) ## every parser and table on inputs that are made up, for an hour (FUZZ_SECONDS=600 for ten minutes)
	$(BIN)/python -W ignore -m tests.hostile.fuzz --seconds $(or $(FUZZ_SECONDS),3600)

check: $(STAMP) ## ruff, mypy, generated pages, links, and the documentation (.pre-commit-config.yaml has the same)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m scripts.maintenance.references --check
	$(BIN)/python -m scripts.maintenance.links
	$(BIN)/python -m mkdocs build --strict --quiet

docs: $(STAMP) ## build the documentation into build/docs, strictly and without a network
	$(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/docs/index.html"

format: $(STAMP) ## format the code and write the references of commands and tables anew
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m scripts.maintenance.references

clean: ## remove the demo, caches and the virtual environment
	rm -rf $(DEMO) $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
