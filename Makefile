# SPDX-License-Identifier: Apache-2.0
# What each target needs it makes or installs itself; see CONTRIBUTING.md.
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
# Stock ones, and those with the hook in them that every change has to pass; `make test-kernels` has the others too.
KERNELS ?= trixie trixie-backports patched-6.12 as-posted-6.12
NODE_TESTS ?= tests/node

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

test: lint docs test-unit test-cluster test-image test-node test-endtoend test-realnode ## what a change has to pass

lint: setup ## style, types, import contracts, shell scripts
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	shellcheck kernel/build scripts/setup scripts/kubeconfig tests/vm/guest/init .ci/run
	shellcheck image/build image/install image/pip image/sbom image/trim image/wheel

# The variable keeps out the theme's advertisement of its successor.
docs: setup ## the documentation as a site, build/site/index.html; dead links and anchors are errors
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

test-unit: setup ## needs nothing but Python
	$(PYTHON) -m pytest tests/unit

# First by itself, because pytest hides its progress. Where it fails, the tests say so and are skipped; in CI they fail.
# Two clusters at a time: each mostly waits.
test-cluster: setup ## a real API server and etcd on this machine
	-$(PYTHON) -m tests.cluster.binaries
	$(PYTHON) -m pytest --numprocesses=2 --dist=loadfile tests/cluster

cluster-binaries: setup ## kube-apiserver, kubectl, etcd: built and fetched once (10 to 25 minutes), or KUBEBUILDER_ASSETS
	$(PYTHON) -m tests.cluster.binaries

test-node: setup ## real OOMs, in a guest per kernel, two guests at a time
	$(PYTHON) -m tests.vm.suite --ooms 100 $(KERNELS)

test-node-%: setup
	$(PYTHON) -m tests.vm.run --kernel $* --deadline 2700 -- python3 -m pytest -p no:cacheprovider $(NODE_TESTS)

LINES := $(notdir $(wildcard kernel/patches/*))
test-kernels: setup ## the patches' style, builds and selftest, and the node tests on each kernel with the hook
	kernel/build --check $(LINES:%=patched-%)
	$(PYTHON) -m tests.vm.patched.selftest $(LINES:%=patched-%)
	$(PYTHON) -m tests.vm.suite --write $(LINES:%=patched-%) $(LINES:%=as-posted-%)

# First by itself, as for test-cluster. -raP shows the times that were measured.
test-endtoend: setup ## from kubectl apply to kubectl get events: a cluster here, its node in a guest
	-$(PYTHON) -m tests.cluster.binaries
	$(PYTHON) -m pytest -raP --durations=10 tests/endtoend

# First by itself, as for test-cluster. -rP shows the sizes.
test-image: setup ## the images, built twice and run, by a Docker Engine of our own
	-$(PYTHON) -m tests.image.build
	-$(PYTHON) -m tests.cluster.binaries
	$(PYTHON) -m pytest -raP --durations=10 tests/image

# First by itself, as for test-cluster. -rP shows the times that were measured.
test-realnode: setup ## containerd, a kubelet, our images, our chart: a node in a guest, its control plane here
	-$(PYTHON) -m tests.realnode.disk
	$(PYTHON) -m pytest -raP --durations=10 tests/realnode

realnode: setup ## the same cluster and node to try it on, until Ctrl-C; build/realnode.env makes a shell its admin's
	@mkdir -p build
	$(PYTHON) -m tests.realnode build/realnode.env

bench: setup ## how long a selection takes: docs/benchmarks.md
	$(PYTHON) -m benchmarks

bench-cluster: setup ## what 150,000 pods cost operator and API server: docs/benchmarks.md
	$(PYTHON) -m benchmarks.cluster

bench-path: setup ## how long a label change and a kill take through a cluster: docs/benchmarks.md
	$(PYTHON) -m benchmarks.path

bench-images: setup ## how big the images are, and how long their programs take to start: docs/benchmarks.md
	$(PYTHON) -m benchmarks.images

bench-realnode: setup ## what the agent takes on a node with 110 pods: docs/benchmarks.md
	$(PYTHON) -m benchmarks.realnode

clean: ## what a build leaves in the checkout; the cache stays
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache

.PHONY: help setup demo demo-cluster test lint docs test-unit test-cluster cluster-binaries test-node test-kernels \
	test-endtoend test-image test-realnode realnode bench bench-images bench-cluster bench-path bench-realnode \
	clean
