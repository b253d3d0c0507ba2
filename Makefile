# Needs only make and Python 3.11 or newer. Everything is installed into .venv, once.
# After a change of pyproject.toml or a lock, the next target installs again.

VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet --progress-bar off --root-user-action ignore
LOCKS := requirements.lock requirements-build.lock requirements-dev.lock
# Locks have the hashes of all files of a release: they work for every supported Python, and no file can be replaced.
LOCK := $(VENV)-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
    --no-annotate --custom-compile-command 'make lock'
PACKAGES := app routers media sandbox
CANDIDATES := python3.13 python3.12 python3.11 python3
# How many test files two cores can run at once without delaying the real-time calls of some of them.
AT_ONCE := 3
CALLS_AT_ONCE := 3
FILES_IN_ORDER := --dist loadfile --no-loadscope-reorder
# ARGS may select tests of one part only; pytest exits with 5 when the other part has none.
OR_NOTHING := $(if $(ARGS),|| [ $$? -eq 5 ])

.DEFAULT_GOAL := help
.PHONY: help demo demo-room run test test-postgres test-room test-browser fuzz matrix soak bench bench-talk check lock env-example deploy clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED) ## a whole call on this machine, without keys (ARGS="--language en --profile instant")
	@$(PYTHON) -m app.cli demo $(ARGS)

demo-room: $(INSTALLED) ## the same by telephone, through a real livekit-server, which Go builds if it is missing
	@$(PYTHON) -m app.cli demo --room $(ARGS)

run: $(INSTALLED) ## the service, configured by .env; with the sandbox if there is no vendor's key
	@$(PYTHON) -m app.cli serve

test: $(INSTALLED) ## every test that needs no other server (ARGS="-k barge_in")
	@$(PYTHON) -m pytest -n $(AT_ONCE) --dist loadfile --ignore tests/end_to_end $(ARGS) $(OR_NOTHING)
	@$(PYTHON) -m pytest -n $(CALLS_AT_ONCE) $(FILES_IN_ORDER) tests/end_to_end $(ARGS) $(OR_NOTHING) # real-time calls, which mostly wait

test-room: $(INSTALLED) ## telephone calls through a real livekit-server; says what is missing for them (ARGS="-k hangs_up")
	@$(PYTHON) -m pytest -n 2 $(FILES_IN_ORDER) -m 'room and not alone' tests/room $(ARGS) $(OR_NOTHING)
	@$(PYTHON) -m pytest -m 'room and alone' tests/room $(ARGS) $(OR_NOTHING)

test-postgres: $(INSTALLED) ## the calls from end to end once more, on a real Postgres (ARGS="-k barge_in")
	@TESTS_ON=postgres $(PYTHON) -m pytest -n $(CALLS_AT_ONCE) $(FILES_IN_ORDER) tests/end_to_end $(ARGS)

test-browser: $(INSTALLED) ## the dashboard as Chromium draws it
	@$(PYTHON) -m pytest -m browser -n 2 --dist loadfile tests/browser $(ARGS)

fuzz: $(INSTALLED) ## every field of the vendors' messages, wrong in every way; make test tries a sample (ARGS="-k nova")
	@MATRIX_CELLS=all $(PYTHON) -m pytest -n 2 --dist load tests/matrix $(ARGS) $(OR_NOTHING)
	@MATRIX_CELLS=all $(PYTHON) -m pytest -n 2 -m room tests/room/test_livekit_trouble.py $(ARGS) $(OR_NOTHING)

matrix: $(INSTALLED) ## every fault at every moment of a call, into docs/fault-matrix.md; takes seven hours, in several runs with ARGS="--keep FILE"
	@$(PYTHON) -m bench.fault_matrix $(if $(ARGS),,--write docs/fault-matrix.md) $(ARGS)

soak: $(INSTALLED) ## callers of all kinds and faults at random, until something goes wrong (ARGS="--hours 2 --seed 3 --calls 8")
	@$(PYTHON) -m bench.soak $(ARGS)

bench: $(INSTALLED) ## what a call costs, and the latency that the service adds; takes minutes, needs Linux (ARGS="--calls 10 25 --json")
	@$(PYTHON) -m bench.calls $(ARGS)

bench-talk: $(INSTALLED) ## conversations with callers who interrupt, cough, echo, hesitate; takes three minutes (ARGS="--only echoing --seed 3")
	@$(PYTHON) -m bench.talk $(ARGS)

check: $(INSTALLED) ## lint, format, types, import contracts
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy $(PACKAGES:%=--package %)
	$(VENV)/bin/lint-imports --no-logo

lock: $(INSTALLED) ## rewrite the locks with the newest versions that pyproject.toml allows
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python $(PIP_INSTALL) uv
	$(LOCK) pyproject.toml --all-extras --output-file requirements-dev.lock
	$(LOCK) pyproject.toml --extra mcp --extra otel --constraint requirements-dev.lock --output-file requirements.lock
	echo setuptools | $(LOCK) - --constraint requirements-dev.lock --output-file requirements-build.lock
	rm -rf $(VENV)-lock

env-example: $(INSTALLED) ## rewrite .env.example from app/settings.py
	$(PYTHON) -m tests.support.env_example

deploy: ## build and deploy to Fly.io, wait until it is ready, else roll back
	@deploy/fly.sh $(ARGS)

clean: ## remove what can be rebuilt; recordings and calls in data/ stay
	rm -rf $(VENV) $(VENV)-lock build dist voice_agent.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(wildcard $(PACKAGES) tests bench) -type d -name __pycache__ -prune -exec rm -rf {} +

# A candidate must run (a version manager's shim may not), be new enough, and be able to make environments.
$(INSTALLED): pyproject.toml $(LOCKS)
	@if ! $(PYTHON) -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    for candidate in $(CANDIDATES); do \
	        if $$candidate -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	            found=$$candidate; break; \
	        fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo 'Python 3.11 or newer with its venv module is needed (on Debian and Ubuntu: apt install python3-venv).' >&2; \
	        exit 1; \
	    fi; \
	    $$found -m venv --clear $(VENV); \
	fi
	@echo "Installing into $(VENV) with $$($(PYTHON) --version): once, about a minute"
	@$(PYTHON) $(PIP_INSTALL) --require-hashes --requirement requirements-build.lock
	@$(PYTHON) $(PIP_INSTALL) --require-hashes --no-build-isolation --requirement requirements-dev.lock
	@$(PYTHON) $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $(INSTALLED)
