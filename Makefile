# SPDX-License-Identifier: Apache-2.0
# What each target needs it makes or installs itself; see CONTRIBUTING.md.
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
KERNELS ?= trixie trixie-backports
NODE_TESTS ?= tests/node
# Under emulation a kernel's node tests take about ten minutes; a guest that is still busy then is lost.
NODE_DEADLINE ?= 2400

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## install what is missing on this machine, and the virtual environment
	@scripts/setup

demo: ## two OOMs in a guest, without and with a policy: who dies, and why
	@scripts/setup --system-only
	@python3 -m tests.vm.demo
	@python3 -m tests.endtoend.demo

demo-cluster: setup ## the same on a cluster, with kubectl; builds the API server first, once
	@python3 -m tests.endtoend.demo --build

test: lint test-unit test-cluster test-node test-node-as-posted test-endtoend ## everything that a change has to pass

lint: setup ## style, types, import contracts, shell scripts
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	shellcheck scripts/setup scripts/kubeconfig tests/vm/guest/init .ci/run

test-unit: setup ## needs nothing but Python
	$(PYTHON) -m pytest tests/unit

# First by itself, because pytest hides its progress. Where it fails, the tests say so and are skipped; in CI they fail.
test-cluster: setup ## a real API server and etcd on this machine
	-$(PYTHON) -m tests.cluster.binaries
	$(PYTHON) -m pytest tests/cluster

cluster-binaries: setup ## kube-apiserver, kubectl, etcd: built and fetched once (10 to 25 minutes), or KUBEBUILDER_ASSETS
	$(PYTHON) -m tests.cluster.binaries

test-node: setup $(KERNELS:%=test-node-%) ## real OOMs, in a guest per kernel

test-node-%:
	$(PYTHON) -m tests.vm.run --kernel $* --deadline $(NODE_DEADLINE) -- \
		python3 -m pytest -p no:cacheprovider --durations=10 $(NODE_TESTS)

# The rules again where SELECT is obeyed without a check, dying tasks are asked about, and points are garbage.
RULES := test_order test_protected test_group test_dying test_random
test-node-as-posted: setup ## the program on the hook as it was posted in 2023
	$(PYTHON) -m tests.vm.run --kernel trixie --deadline $(NODE_DEADLINE) -- env OOMPOLICY_HOOK=as-posted \
		python3 -m pytest -p no:cacheprovider $(RULES:%=tests/node/%.py)

# First by itself, as for test-cluster. -raP shows the times that were measured.
test-endtoend: setup ## from kubectl apply to kubectl get events: a cluster here, its node in a guest
	-$(PYTHON) -m tests.cluster.binaries
	$(PYTHON) -m pytest -raP --durations=10 tests/endtoend

bench: setup ## how long a selection takes: docs/benchmarks.md
	$(PYTHON) -m benchmarks

bench-cluster: setup ## what 150,000 pods cost operator and API server: docs/benchmarks.md
	$(PYTHON) -m benchmarks.cluster

bench-path: setup ## how long a label change and a kill take through a cluster: docs/benchmarks.md
	$(PYTHON) -m benchmarks.path

clean: ## what a build leaves in the checkout; the cache stays
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache

.PHONY: help setup demo demo-cluster test lint test-unit test-cluster cluster-binaries test-node test-node-as-posted \
	test-endtoend bench bench-cluster bench-path clean
