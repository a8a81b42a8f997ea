# Every developer and operator command of the tree. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP_RUN := $(VENV)/.stamp-run
STAMP_DEV := $(VENV)/.stamp-dev
STAMP_SELF := $(VENV)/.stamp-self

PACKAGES := bench colonnade compute_gateway federation kit model objectd proxy replicator ring
PYTEST_WORKERS ?= 2
PYTEST_ARGS ?=
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input

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

# A lock without hashes would be refused: --require-hashes makes pip check each archive.
$(STAMP_RUN): requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --require-hashes --requirement requirements.lock
	touch $@

# The packages are imported from the tree itself (editable_mode=compat writes a plain .pth, which
# type checkers follow too), and the console scripts land in .venv/bin.
$(STAMP_SELF): $(STAMP_RUN) pyproject.toml
	$(PIP_INSTALL) --no-index --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	touch $@

$(STAMP_DEV): $(STAMP_RUN) requirements-dev.lock
	$(PIP_INSTALL) --require-hashes --requirement requirements-dev.lock
	touch $@
