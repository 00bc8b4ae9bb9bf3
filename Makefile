# SPDX-License-Identifier: Apache-2.0
# What each target needs it makes or installs itself; see CONTRIBUTING.md.
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
# It compiles all there is in a guest: two minutes under emulation.
PAGE := tests/node/test_docs.py
NODE_TESTS ?= tests/node --ignore=$(PAGE)
RANDOM_OOMS ?= 100
# The newest stock kernel, and one with the hook in it; `make test` has Debian 13's, `make test-kernels` all others.
MORE_KERNELS := trixie-backports patched-6.12
# Steps that run two at a time. The longest begin first, and what has to be built begins before what needs it.
TEST := test-node test-numa cluster-binaries lint docs test-unit test-cluster test-endtoend
TEST_MORE := test-images-once test-more-kernels test-page test-realnode

# The lines of two steps are mixed, so each says which step it is of.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
SHOW = $(if $(SIDE_BY_SIDE),2>&1 | sed --unbuffered 's/^/$@: /')
side_by_side = @$(MAKE) --no-print-directory --jobs=2 SIDE_BY_SIDE=yes

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## install what is missing on this machine, and the virtual environment
	@scripts/setup

demo: ## two OOMs in a guest, without and with a policy: who dies, and why
	@scripts/setup --system-only
	@python3 -m demo.node
	@python3 -m demo.cluster

demo-cluster: setup ## the same on a cluster, with kubectl; builds the API server first, once
	@python3 -m demo.cluster --build

check: lint test-unit ## style, types and unit tests, within two minutes: the first command after a change

test: setup ## what a change has to pass, on Debian 13's kernel: check, docs, cluster, node and end to end
	$(side_by_side) $(TEST)

test-more: setup ## what CI runs beside `make test`: the images, the newest kernel, a patched one, a real node
	$(side_by_side) $(TEST_MORE)

lint: setup ## style, types, import contracts, shell scripts
	(.venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy && .venv/bin/lint-imports) $(SHOW)
	shellcheck kernel/build scripts/setup scripts/kubeconfig vmtest/guest/init .ci/run $(SHOW)
	shellcheck image/build image/install image/pip image/sbom image/trim image/wheel $(SHOW)

# The variable keeps out the theme's advertisement of its successor.
docs: setup ## the documentation as a site, build/site/index.html; dead links and anchors are errors
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet $(SHOW)

test-unit: setup ## needs nothing but Python
	$(PYTHON) -m pytest --numprocesses=2 tests/unit $(SHOW)

# First by itself, because pytest hides its progress. Where it fails, the tests say so and are skipped; in CI they fail.
# Two clusters at a time: each mostly waits.
test-cluster: setup ## a real API server and etcd on this machine
	-$(PYTHON) -m tests.cluster.binaries $(SHOW)
	$(PYTHON) -m pytest --numprocesses=2 --dist=loadfile tests/cluster $(SHOW)

cluster-binaries: setup ## kube-apiserver, kubectl, etcd: built and fetched once (5 to 15 minutes), or KUBEBUILDER_ASSETS
	$(PYTHON) -m tests.cluster.binaries $(SHOW)

test-node: test-node-trixie ## real OOMs in a guest, on Debian 13's kernel; test-node-KERNEL is another's

test-node-%: setup
	$(PYTHON) -m vmtest.run --kernel $* --deadline 2700 -- \
		env OOMPOLICY_RANDOM_OOMS=$(RANDOM_OOMS) \
		python3 -m pytest -p no:cacheprovider --durations=5 $(NODE_TESTS) $(SHOW)

test-page: NODE_TESTS = $(PAGE)
test-page: test-node-trixie ## the page for a node (docs/node.md) is followed on Debian 13

# On one node what the tests ask for is a cpuset for all of it.
test-numa: setup ## who can die where memory has nodes: a guest with two of them
	$(PYTHON) -m vmtest.run --nodes 2 --deadline 900 -- \
		python3 -m pytest -p no:cacheprovider tests/node/test_numa.py $(SHOW)

test-more-kernels: setup ## the node tests on the newest stock kernel, and on one with the hook in it
	$(PYTHON) -m vmtest.suite --jobs 1 --ooms 100 $(MORE_KERNELS) $(SHOW)

LINES := $(notdir $(wildcard kernel/patches/*))
test-kernels: setup ## the patches' style, builds and selftest, and the node tests on each kernel with the hook
	kernel/build --check $(LINES:%=patched-%)
	$(PYTHON) -m vmtest.patched.selftest $(LINES:%=patched-%)
	$(PYTHON) -m vmtest.suite --write $(LINES:%=patched-%) $(LINES:%=as-posted-%)

# First by itself, as for test-cluster. -raP shows the times that were measured.
test-endtoend: setup ## from kubectl apply to kubectl get events: a cluster here, its node in a guest
	-$(PYTHON) -m tests.cluster.binaries $(SHOW)
	$(PYTHON) -m pytest -raP --durations=10 tests/endtoend $(SHOW)

# First by itself, as for test-cluster. -rP shows the sizes.
IMAGE_TESTS = -m "not second_build"
test-images-once: setup ## the images, built and run by a Docker Engine of our own
	-$(PYTHON) -m tests.image.build $(SHOW)
	-$(PYTHON) -m tests.cluster.binaries $(SHOW)
	$(PYTHON) -m pytest -raP --durations=10 $(IMAGE_TESTS) tests/image $(SHOW)

test-images: IMAGE_TESTS =
test-images: test-images-once ## the same, and built a second time: both have the same digest

# First by itself, as for test-cluster. -rP shows the times that were measured.
test-realnode: setup ## containerd, a kubelet, our images, our chart: a node in a guest, its control plane here
	-$(PYTHON) -m tests.realnode.disk $(SHOW)
	$(PYTHON) -m pytest -raP --durations=10 tests/realnode $(SHOW)

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

.PHONY: help setup demo demo-cluster check test test-more lint docs test-unit test-cluster cluster-binaries test-node test-numa test-page \
	test-more-kernels test-kernels test-endtoend test-images-once test-images test-realnode realnode \
	bench bench-images bench-cluster bench-path bench-realnode clean
