# One command for each job. `make` alone lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
SOURCES := __main__.py components docs engine lab policies render scripts settings topology
# pytest-xdist: as many workers as the machine has cores.
PYTEST := $(PY) -m pytest -n auto

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## List the jobs.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Set-up. Stamps make warm runs skip it; a changed requirements file makes it run again.

.PHONY: setup
setup: $(VENV)/dev.stamp ## Make the virtual environment with everything that the checks need.

$(VENV)/pyvenv.cfg:
	@sh engine/check_machine.sh "$(PYTHON)"
	@echo "set-up: virtual environment in $(VENV)"
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/run.stamp: requirements.txt | $(VENV)/pyvenv.cfg
	@echo "set-up: installing what the program needs, about 1 minute the first time"
	@sh engine/timed.sh "set-up: installed" $(PY) -m pip install --quiet --require-hashes -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	@echo "set-up: installing what the checks need, about 20 seconds the first time"
	@sh engine/timed.sh "set-up: installed" $(PY) -m pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

# The main job.

.PHONY: preview
preview: $(VENV)/run.stamp ## Plan both nodes with the real engine and the policy pack; needs no account.
	@$(PY) -m engine.preview $(STACK)

# Checks.

.PHONY: test
test: setup lint tools ## Every check and test that this machine can run.
	$(PYTEST)
	@$(MAKE) --no-print-directory services
	@$(MAKE) --no-print-directory lab-test-quick

.PHONY: unit
unit: setup ## The fast tests alone: no engine, no other program.
	$(PYTEST) -m 'not engine' tests/unit tests/policies

# Each service that we write has its own requirements, and so a virtual environment of its own.
SERVICES := $(patsubst services/%/requirements-test.txt,%,$(wildcard services/*/requirements-test.txt))

.PHONY: services $(SERVICES:%=test-%)
services: $(SERVICES:%=test-%) ## Types and tests of the services that we write; one alone: make test-interpreter.

$(SERVICES:%=test-%): test-%: .services/%/test.stamp $(VENV)/dev.stamp
	MYPYPATH=.:tests/services/$* $(PY) -m mypy --python-executable .services/$*/bin/python --cache-dir .mypy_cache/$* services/$*
	@# They race real processes, some of them hostile, on a machine that may be busy: what fails is tried once more, alone.
	.services/$*/bin/python -m pytest tests/services/$* || \
		.services/$*/bin/python -m pytest --last-failed --last-failed-no-failures none tests/services/$*

.services/%/test.stamp: services/%/requirements-test.txt | $(VENV)/pyvenv.cfg
	@echo "set-up: what the tests of $* need"
	@"$(PYTHON)" -m venv .services/$*
	@sh engine/timed.sh "set-up: installed" .services/$*/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

# Each client that the platform is tried with is a package of its own, with its own environment.
CLIENTS := $(notdir $(wildcard tests/clients/pinned/*))
CORE_CLIENTS := openai-3 anthropic

.PHONY: clients
clients: $(CLIENTS:%=.clients/%/ready.stamp) ## The real clients of tests/clients, each in an environment of its own below .clients.

.clients/%/ready.stamp: tests/clients/pinned/%/requirements.txt | $(VENV)/dev.stamp
	@sh tests/clients/install.sh "$(PYTHON)" $*
	@touch $@

.clients/%/ready.stamp: tests/clients/pinned/%/package-lock.json | .clients/node/ready.stamp
	@sh tests/clients/install.sh "$(PYTHON)" $*
	@touch $@

.PHONY: lint
lint: setup ## Style and types.
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy $(wildcard $(SOURCES))

.PHONY: fmt
fmt: setup ## Put the sources into their one form.
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

.PHONY: tools
tools: $(VENV)/run.stamp ## The programs that contract tests run: Debian packages where root may install them, and those of Go.
	@sh engine/test_tools.sh
	@$(PY) -m engine.cli >/dev/null
	@$(PY) -m engine.cli actionlint >/dev/null
	@$(PY) -m engine.cli victoria-logs >/dev/null
	@$(PY) -m engine.cli vlagent >/dev/null

# Documents.

.PHONY: docs
docs: setup ## Generate the tables and diagrams in docs/ from the topology.
	$(PY) -m docs.generate

.PHONY: bench
bench: $(VENV)/run.stamp ## Preview time against a flat program; writes docs/performance.md.
	$(PY) -m engine.bench

.PHONY: bench-services
bench-services: .services/agents/test.stamp .services/litellm/test.stamp .services/interpreter/test.stamp ## What the services that we write add to a call: prints tables.
	.services/litellm/bin/python services/litellm/bench.py
	.services/interpreter/bin/python services/interpreter/bench.py
	.services/agents/bin/python services/agents/bench.py
	.services/agents/bin/python services/agents/bench_ingest.py

.PHONY: train-router
train-router: setup ## Make the agents' router weights again, from the labelled requests: 2 minutes.
	cd services/agents && $(abspath $(VENV))/bin/uv run --no-project --python 3.11 --with-requirements requirements-train.txt \
		python -m training.train

.PHONY: bench-mesh
bench-mesh: setup ## What the mesh costs and how fast it heals, in the lab that is up: make bench-mesh [PARTS="latency memory"].
	@$(PY) -m lab.bench $(PARTS)

.PHONY: changes
changes: setup ## What each kind of change would do, counted in the lab that is up; writes docs/changes.md.
	@$(PY) -m lab.changes

# The lab: both nodes on this machine, real Docker and the real engine, no account. Needs root.

.PHONY: lab lab-status lab-down lab-cut lab-heal lab-shell
lab: setup ## Bring both stacks up on two local Docker nodes.
	@$(PY) -m lab up

lab-status: setup ## Each service of the lab: real or stand-in, healthy or not, where.
	@$(PY) -m lab status

lab-down: setup ## Take the lab down; nothing is left but the image cache.
	@$(PY) -m lab down

lab-cut: setup ## Cut a node's tailnet link: make lab-cut NODE=thanos.
	@$(PY) -m lab cut $(NODE)

lab-heal: setup ## Join it again.
	@$(PY) -m lab heal $(NODE)

.PHONY: lab-test lab-test-quick
lab-test: setup tools clients ## Every test of the lab, crashes and attacks too, in the one that is up or its own: about 1 hour.
	LAB_REAL=$${LAB_REAL-all} $(PY) -m pytest tests/lab

lab-test-quick: setup tools $(CORE_CLIENTS:%=.clients/%/ready.stamp) ## Those of them that `make test` has time for.
	@# On a machine that may be busy: what fails is tried once more, alone.
	$(PY) -m pytest tests/lab -m "not rehearsal" || \
		$(PY) -m pytest tests/lab -m "not rehearsal" --last-failed --last-failed-no-failures none

lab-shell: setup ## A shell in a node's network, with its Docker: make lab-shell NODE=thanos.
	@$(PY) -m lab shell $(NODE)

# Operation.

.PHONY: operator-cert
operator-cert: setup ## A short-lived client certificate for a person: make operator-cert NAME=you [HOURS=12].
	@$(PY) -m scripts.operator_cert "$(NAME)" --hours "$(or $(HOURS),12)"

.PHONY: diagnose
diagnose: $(VENV)/run.stamp ## Which services of a node are not healthy, and why: make diagnose STACK=thanos [ARGS="--lines 50 vllm"].
	@$(PY) -m scripts.diagnose --stack "$(STACK)" $(ARGS)

# Upkeep.

.PHONY: lock
lock: setup ## Compile the pinned, hashed requirements from their .in files.
	@for name in requirements requirements-dev requirements-go $(basename $(wildcard services/*/requirements.in services/*/requirements-test.in services/*/requirements-train.in tests/clients/pinned/*/requirements.in)); do \
		$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
			--no-emit-index-url --no-emit-find-links --python-version 3.11 \
			$$(ls $${name%/*}/overrides.txt 2>/dev/null | sed 's/^/--override /') $$name.in -o $$name.txt || exit 1; \
	done
	@for lock in tests/clients/pinned/*/package.json; do \
		npm --prefix "$${lock%/*}" install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund || exit 1; \
	done
	@$(PY) -m tests.clients.addressless tests/clients/pinned/*/package-lock.json

.PHONY: clean
clean: ## Remove everything that the set-up, the plans and the checks made.
	rm -rf $(VENV) .services .clients .engine .preview .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
