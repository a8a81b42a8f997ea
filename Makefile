# Every developer and operator command of the tree. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP_RUN := $(VENV)/.stamp-run
STAMP_DEV := $(VENV)/.stamp-dev
STAMP_SELF := $(VENV)/.stamp-self

PYTEST_WORKERS ?= 2
PYTEST_ARGS ?=
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input

# Programs of the system, each named as its Debian package.
TEST_PROGRAMS := faketime nodejs restic wrk

# One resolution for every supported Python, each archive by hash, and no word of where it came from.
UV_VERSION := 0.13.8
UV ?= .venv-lock/bin/uv
LOCK_ARGS ?=
UV_COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate $(LOCK_ARGS)

# Passed through to `colonnade up`; empty means the command's own default.
DEVICES ?=
DATA ?=
PORT ?=
ARGS ?=
UP_ARGS = $(if $(DEVICES),--devices $(DEVICES)) $(if $(DATA),--data $(DATA)) $(if $(PORT),--port $(PORT)) $(ARGS)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(STAMP_SELF) $(STAMP_DEV) ## Build .venv with everything, pinned by hash
	@true

.PHONY: venv-run
venv-run: $(STAMP_SELF) ## Build .venv with only what a colony needs to run
	@true

# Runs one at a time: two makes in one tree must not install into one environment at once.
LOCKED := flock $(VENV).lock

# --require-hashes makes pip check each archive against the lock, and refuse what the lock does not name.
$(STAMP_RUN): requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { $(MAKE) --no-print-directory python-venv; $(PYTHON) -m venv --clear $(VENV); }
	$(LOCKED) $(PIP_INSTALL) --require-hashes --requirement requirements.lock
	@touch $@

# The packages are imported from the tree itself (editable_mode=compat writes a plain .pth, which
# type checkers follow too), and the console scripts land in .venv/bin.
$(STAMP_SELF): $(STAMP_RUN) pyproject.toml
	$(LOCKED) $(PIP_INSTALL) --no-index --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

$(STAMP_DEV): $(STAMP_RUN) requirements-dev.lock
	$(LOCKED) $(PIP_INSTALL) --require-hashes --requirement requirements-dev.lock
	@touch $@

# $(1): Debian packages. Installs them where this machine lets us; otherwise says so and goes on.
define apt_install
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	export DEBIAN_FRONTEND=noninteractive; \
	install="timeout 180 apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=90 $(1)"; \
	$$install >/dev/null 2>&1 || { timeout 180 apt-get update -qq && $$install; } >/dev/null 2>&1 \
		|| echo "not installable here: $(1)"; \
else echo "not installed (needs root and apt-get): $(1)"; fi
endef

# Debian ships the venv module apart from the interpreter.
.PHONY: python-venv
python-venv:
	@$(call apt_install,python3-venv)

# A test whose program is still missing is skipped and names it.
.PHONY: system
system: ## Install the Debian packages that tests use, where allowed
	@missing=""; for program in $(TEST_PROGRAMS); do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -n "$$missing" ]; then $(call apt_install,$$missing); fi

# A foreign suite and its clients, fetched by hash and kept out of the tree: $(VENV)/swift-suite.
SWIFT_RELEASE := tests/api/swift_suite/release.txt
STAMP_SWIFT := $(VENV)/.stamp-swift-suite

.PHONY: swift-suite
swift-suite: venv ## Fetch the S3 suite of OpenStack Swift's source distribution, where the index is reached
	@if [ ! $(STAMP_SWIFT) -nt $(SWIFT_RELEASE) ]; then \
		rm -rf $(VENV)/swift-suite && mkdir $(VENV)/swift-suite \
		&& $(BIN)/python -m pip download --quiet --disable-pip-version-check --no-input --no-deps --no-binary :all: \
			--no-build-isolation --require-hashes --requirement $(SWIFT_RELEASE) --dest $(VENV)/swift-suite \
		&& tar -xzf $(VENV)/swift-suite/swift-*.tar.gz -C $(VENV)/swift-suite --strip-components=1 \
		&& touch $(STAMP_SWIFT) || echo "not fetched: the source distribution of Swift"; fi

JAVASCRIPT_LOCK := tests/api/javascript/package-lock.json
STAMP_JAVASCRIPT := $(VENV)/.stamp-javascript

.PHONY: javascript
javascript: venv ## Install the AWS SDK for JavaScript, where npm and its registry are reached
	@if [ ! $(STAMP_JAVASCRIPT) -nt $(JAVASCRIPT_LOCK) ]; then \
		mkdir -p $(VENV)/javascript && cp $(dir $(JAVASCRIPT_LOCK))package*.json $(VENV)/javascript/ \
		&& timeout 120 npm ci --fetch-retries 1 --fetch-timeout 30000 --prefix $(VENV)/javascript --silent --no-audit --no-fund --ignore-scripts \
		&& touch $(STAMP_JAVASCRIPT) || echo "not installed: the AWS SDK for JavaScript"; fi

.PHONY: up
up: venv-run ## Start a whole colony here (DEVICES= DATA= PORT= ARGS=)
	@exec $(BIN)/colonnade up $(UP_ARGS)

.PHONY: test
test: venv system swift-suite javascript lint types contracts pytest ## Everything: lint, types, import contracts, all tests

.PHONY: pytest
pytest: venv ## Only the tests (PYTEST_ARGS= PYTEST_WORKERS=)
	@$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) --dist loadfile $(PYTEST_ARGS)

.PHONY: lint
lint: venv ## ruff: rules and format
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet . && echo "lint: clean"

.PHONY: types
types: venv ## mypy --strict
	@$(BIN)/mypy

.PHONY: contracts
contracts: venv ## The import contracts between packages
	@output=$$($(BIN)/lint-imports 2>&1) || { echo "$$output"; exit 1; }; echo "contracts: kept"

.PHONY: format
format: venv ## Sort imports and format
	$(BIN)/ruff check --quiet --select I --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: venv ## Measure a colony, or with ARGS="run …" any S3 or Swift endpoint
	@$(BIN)/python -m bench $(or $(ARGS),colony)

.PHONY: bench-swift
bench-swift: venv ## Measure a colony and OpenStack Swift side by side (ARGS=)
	@$(BIN)/python -m bench swift $(ARGS)

.PHONY: lock
lock: $(UV) ## Resolve the locks anew (LOCK_ARGS=--upgrade for newer versions)
	$(UV_COMPILE) pyproject.toml --group build --output-file requirements.lock
	$(UV_COMPILE) pyproject.toml --group build --group dev --constraint requirements.lock --output-file requirements-dev.lock

.venv-lock/bin/uv:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet uv==$(UV_VERSION)

.PHONY: clean
clean: ## Remove the environment and every cache; never data
	rm -rf .venv .venv.lock .venv-lock build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +
