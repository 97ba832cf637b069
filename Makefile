# Two commands for people: `make demo` and `make test`. Everything they need they make themselves.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
VENV := .venv
# Python's byte-code cache is what makes the second start of Ansible quick; some machines switch it off.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Without it molecule warns that scenarios belong into extensions/, which this layout does not use.
export MOLECULE_GLOB := molecule/*/molecule.yml
SCENARIOS ?= $(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))

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

.PHONY: test
test: lint unit molecule published ## Every test

.PHONY: lint
lint: venv ## Check the style of everything
	@echo "== lint"
	@ruff check
	@ruff format --check
	@yamllint --strict .
	@mkdir -p build/types/ansible_collections/felhom && ln -sfn "$(CURDIR)" build/types/ansible_collections/felhom/base_infra
	@mypy -p ansible_collections.felhom.base_infra.plugins
	@antsibull-changelog lint
	@ansible-lint --offline
	@python tests/sanity/check.py

.PHONY: unit
unit: venv ## Run the unit tests
	@echo "== unit tests"
	@python -m pytest tests/unit tests/report tests/versions

.PHONY: molecule
molecule: venv ## Run the scenarios on real guests of the test bed
	@tests/bed/bed up
	@for scenario in $(SCENARIOS); do \
	  molecule reset --scenario-name $$scenario >/dev/null 2>&1; \
	  molecule test --scenario-name $$scenario --destroy=never --no-command-borders || { tests/bed/bed logs; tests/bed/bed down; exit 1; }; \
	  tests/bed/bed down $$(tests/bed/bed status | cut --delimiter=' ' --fields=1 | sort --reverse); \
	  tests/bed/bed up; \
	done
	@tests/bed/bed down

.PHONY: published
published: venv ## Test what is published, on the newest ansible-core
	@echo "== as it is published"
	@tests/bed/bed up
	@tests/published/run || { tests/bed/bed logs; tests/bed/bed down; exit 1; }
	@tests/bed/bed down

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
