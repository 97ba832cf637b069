# Two commands for people: `make demo` and `make test`. Everything they need they make themselves.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

# A distribution's Python needs a fifth less time than one that pyenv built; not each has the means to make a venv.
PYTHON ?= $(shell for each in /usr/bin/python3 python3; do \
  "$$each" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && exit; done; echo python3)
VENV := .venv
# Python's byte-code cache is what makes the second start of Ansible quick; some machines switch it off.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Without it molecule warns that scenarios belong into extensions/, which this layout does not use.
export MOLECULE_GLOB := molecule/*/molecule.yml
SCENARIOS ?= molecule

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: venv
venv: $(VENV)/ready ## Make .venv with the locked requirements and this checkout as a collection

# The collection is importable as ansible_collections.felhom.base_infra from wherever the checkout lies.
$(VENV)/ready: requirements.txt
	@echo "== virtual environment"
	@rm -rf "$(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed, found $$($(PYTHON) -V); set PYTHON=" >&2; exit 1; }
	@$(PYTHON) -m venv "$(VENV)"
	@set -o pipefail; "$(VENV)/bin/python" -m pip install --no-compile --disable-pip-version-check -r requirements.txt 2>&1 \
	  | grep --line-buffered -E '^(Collecting|Installing|Successfully|ERROR)' | cut -c1-100
	@site=$$("$(VENV)/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	  mkdir -p "$$site/ansible_collections/felhom" && \
	  ln -sfn "$(CURDIR)" "$$site/ansible_collections/felhom/base_infra" && ln -sfn "$$site" "$(VENV)/collections"
	@touch "$@"

.PHONY: demo
demo: venv ## The main job for real: a fresh guest comes up, watch it
	@python tests/demo.py

.PHONY: demo-clean
demo-clean: ## Remove the demo's guest, bridge, mounts and processes (the cache stays: 'tests/bed/bed down --purge')
	@tests/bed/bed down

# Which tests there are, and what runs beside what: tests/gate.py.
.PHONY: test
test: ## Every test
	@$(PYTHON) tests/gate.py all

.PHONY: quick
quick: ## What to run before each commit: lint, unit tests, the main job on one guest
	@$(PYTHON) tests/gate.py quick

.PHONY: lint
lint: ## Check the style of everything
	@$(PYTHON) tests/gate.py lint

.PHONY: unit
unit: ## Run the unit tests
	@$(PYTHON) tests/gate.py unit

.PHONY: molecule
molecule: ## Run the scenarios on real guests of the test bed: SCENARIOS="faults golden"
	@$(PYTHON) tests/gate.py $(SCENARIOS)

.PHONY: published
published: ## Test what is published, on the newest ansible-core
	@$(PYTHON) tests/gate.py published

# The name that this checkout has as a collection, where mypy looks for it.
.PHONY: types
types: venv
	@mkdir -p build/types/ansible_collections/felhom && ln -sfn "$(CURDIR)" build/types/ansible_collections/felhom/base_infra
	@mypy -p ansible_collections.felhom.base_infra.plugins

.PHONY: bench
bench: venv ## What a converge costs, side by side with other ways to do it; build/bench.json
	@python tests/bench/bench.py
	@tests/bed/bed down bench

.PHONY: lock
lock: venv ## Write requirements*.txt, with hashes, from requirements*.in
	@for each in 3.11:requirements 3.12:requirements-newest; do \
	  uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	    --python-version $${each%%:*} --output-file $${each#*:}.txt $${each#*:}.in || exit 1; \
	done

.PHONY: docs
docs: venv ## Write docs/roles and docs/plugins from the documentation in the code
	@rm -rf docs/roles docs/plugins
	@python docs/generate.py

.PHONY: clean
clean: ## Remove what make made in this checkout
	@rm -rf "$(VENV)" build .pytest_cache .hypothesis .ruff_cache .mypy_cache
