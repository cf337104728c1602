PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
SEED ?=
N ?= 50
BASE ?= python:3.11-slim-bookworm

.DEFAULT_GOAL := help

$(STAMP): requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

.PHONY: demo
demo: $(STAMP) ## Set up and try the bot: a real SSH server, a real repository, the console as chat
	$(BIN)/deploybot demo

.PHONY: test
test: $(STAMP) ## Set up and run every test
	$(BIN)/python -m pytest $(ARGS)

.PHONY: lint
lint: $(STAMP) ## Check style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: fmt
fmt: $(STAMP) ## Format and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(STAMP) ## Measure against the peers, on the laboratory (needs root)
	$(BIN)/python -m benchmarks

.PHONY: chaos
chaos: $(STAMP) ## Kill the bot N times in mid-deployment and count what went wrong
	$(BIN)/python -m tests.chaos --runs $(N) $(if $(SEED),--seed $(SEED))

.PHONY: image
image: ## Build the bot's container image (BASE=… for another base)
	docker build --build-arg BASE=$(BASE) --tag deploybot .

.PHONY: lock
lock: ## Pin all dependencies anew, with hashes
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv==0.13.8
	build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --all-extras pyproject.toml -o requirements.lock
	build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --all-extras --group dev pyproject.toml -o requirements-dev.lock

