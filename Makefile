PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
DOCS_VENV := build/docs-venv
DOCS_STAMP := $(DOCS_VENV)/.stamp
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
LOCK := build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header
SEED ?=
SUITE ?=
ACCOUNT ?=
WORKERS ?= logical
N ?= 50
BASE ?= python:3.11-slim-bookworm
TAG ?= deploybot

# Python starts faster with its bytecode beside it, and tests start it thousands of times.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 8

.PHONY: demo
demo: $(STAMP) ## Try the bot with a real SSH server, a real repository, and the console as chat
	$(BIN)/deploybot demo

.PHONY: doubles
doubles: $(STAMP) ## Try the bot in doubles of Slack and Telegram, in a browser, without an account
	$(BIN)/python -m tests.doubles

.PHONY: test
test: $(STAMP) ## Set up and run every test (ARGS=… for pytest, WORKERS=4)
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --maxprocesses=4 --dist=loadfile --no-loadscope-reorder $(ARGS)

.PHONY: bare
bare: $(STAMP) ## Demo and tests on minimal Debian 12 and 13, as a user and root (as root; SUITE=… ACCOUNT=…)
	$(BIN)/python -m tests.bare $(if $(SUITE),--suite $(SUITE)) $(if $(ACCOUNT),--as $(ACCOUNT)) $(if $(ARGS),--options="$(ARGS)")

.PHONY: lint
lint: $(STAMP) ## Check style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: fmt
fmt: $(STAMP) ## Format, and fix what can be fixed automatically
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(STAMP) ## Measure speed and memory in the laboratory, compared with other programs (as root)
	$(BIN)/python -m benchmarks

.PHONY: chaos
chaos: $(STAMP) ## Kill the bot during N deployments and bursts of webhooks; count failures (N=50 SEED=…)
	$(BIN)/python -m tests.chaos --runs $(N) $(if $(SEED),--seed $(SEED))

.PHONY: mutants
mutants: $(STAMP) ## Change the core line by line, and list the changes that no test notices (ARGS='queue' N=…)
	$(BIN)/python -m tests.mutants $(ARGS) $(if $(filter file,$(origin N)),,--number $(N)) $(if $(SEED),--seed $(SEED))

.PHONY: fuzz
fuzz: $(STAMP) ## Change N answers of a server and its Engine; measure the bot (N=5000 SEED=…)
	$(BIN)/python -m tests.fuzz --answers $(N) $(if $(SEED),--seed $(SEED)) 2>/dev/null

.PHONY: world
world: $(STAMP) ## Generate N histories of deployments and manual changes; count false reports (N=300 SEED=…)
	$(BIN)/python -m tests.histories world --runs $(N) $(if $(SEED),--seed $(SEED))

.PHONY: watch-trial
watch-trial: $(STAMP) ## Watch 500 good releases and N faulty ones under a noisy load (N=200 SEED=…)
	$(BIN)/python -m tests.watch_trial $(if $(filter file,$(origin N)),,--faults $(N)) $(if $(SEED),--seed $(SEED))

.PHONY: broken
broken: $(STAMP) ## Interrupt N releases during `up`; measure what serves (N=200 SEED=…)
	$(BIN)/python -m tests.histories broken --runs $(N) $(if $(SEED),--seed $(SEED))

.PHONY: hosts
hosts: $(STAMP) ## Take over N hosts on which apps were started by hand (N=30 SEED=…)
	$(BIN)/python -m tests.histories hosts --runs $(N) $(if $(SEED),--seed $(SEED))

.PHONY: docs
docs: $(DOCS_STAMP) ## Build the documentation's site in build/site; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict
	@echo "Read it at http://127.0.0.1:8000: $(PYTHON) -m http.server --bind 127.0.0.1 --directory build/site"

.PHONY: image
image: ## Build the bot's container image (BASE=… for another base, TAG=… for its name)
	docker build --build-arg BASE=$(BASE) --tag $(TAG) .

.PHONY: wheels
wheels: $(STAMP) ## Download the parts of the image, so that it can be built without a network
	$(PIP) download --require-hashes --only-binary=:all: --dest wheels -r requirements.lock
	$(PIP) download --require-hashes --only-binary=:all: --dest wheels -r requirements-build.lock

.PHONY: lock
lock: venv ## Pin all dependencies again, with hashes
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) pyproject.toml --extra otel --group dev --output-file requirements-dev.lock
	$(LOCK) --group build --output-file requirements-build.lock
	$(LOCK) --group docs --output-file requirements-docs.lock

.PHONY: clean
clean: ## Delete what these targets made
	rm -rf $(VENV) build dist wheels .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(STAMP): requirements-dev.lock pyproject.toml
	@$(MAKE) --no-print-directory venv
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Separate from $(VENV): neither the bot nor its tests need the programs that build the site.
$(DOCS_STAMP): requirements-docs.lock
	@$(MAKE) --no-print-directory venv
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements-docs.lock
	@touch $@

.PHONY: venv
venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "deploybot needs Python 3.11 or later, and $(PYTHON) is none: make PYTHON=/path/to/python3.11 …"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
