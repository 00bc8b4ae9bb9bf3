# SPDX-License-Identifier: Apache-2.0
# Each target makes or installs everything that it needs. See CONTRIBUTING.md.
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
# This test compiles all programs in a guest, which takes two minutes under emulation.
PAGE := tests/node/test_docs.py
# These do not depend on the version of the kernel, or need no hook. They run on Debian 13's kernel, by a step of their own.
ON_ONE_KERNEL := -m "once or scores"
NODE_TESTS ?= tests/node --ignore=$(PAGE) -m "not (once or scores)"
RANDOM_OOMS ?= 100
SCORED_OOMS ?= 20
# They take no module. Their tests are test_observe.py and test_scores.py.
OLD_KERNELS := bookworm bullseye
# These steps run two at a time. The longest steps start first, and a build starts before the steps that need it.
# trixie-backports is the newest stock kernel, and patched-6.12 contains the hook. `make test-kernels` has all others.
TEST := test-node test-numa cluster-binaries lint docs test-unit test-cluster test-endtoend
TEST_MORE := test-images-once test-realnode test-node-patched-6.12 test-node-trixie-backports test-node-once test-page
# `make test test-more` is one queue of all steps. In two queues, the last step of the first one would run alone.

# The output of two steps is mixed, so each line begins with the name of its step.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
SHOW = $(if $(SIDE_BY_SIDE),2>&1 | sed --unbuffered 's/^/$@: /')
side_by_side = @$(MAKE) --no-print-directory --jobs=2 SIDE_BY_SIDE=yes

help: ## print this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## install missing packages and create the virtual environment
	@scripts/setup

demo: ## run out of memory in a guest, without and with a policy
	@scripts/setup --system-only
	@python3 -m demo.node
	@python3 -m demo.cluster

demo-cluster: setup ## the same demo with kubectl and an API server, which the first run builds
	@python3 -m demo.cluster --build

check: lint test-unit ## style, types and unit tests, within two minutes: run it after every change

test: setup ## the tests that every change must pass: check, docs, cluster, node and end to end
	$(side_by_side) $(TEST) $(if $(filter test-more,$(MAKECMDGOALS)),$(TEST_MORE))

test-more: setup ## the other tests of CI: images, newest kernel, patched kernel, other node tests, docs/node.md, a real node
	$(if $(filter test,$(MAKECMDGOALS)),@true,$(side_by_side) $(TEST_MORE))

lint: setup ## check style, types, import contracts and shell scripts
	(.venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy && PYTHONPATH=debug .venv/bin/lint-imports) $(SHOW)
	shellcheck kernel/build scripts/setup scripts/kubeconfig vmtest/guest/init .ci/run $(SHOW)
	shellcheck image/build image/install image/pip image/sbom image/trim image/wheel $(SHOW)

# The variable turns off the theme's advertisement for its successor.
docs: setup ## build the documentation site, build/site/index.html (a dead link is an error)
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet $(SHOW)

test-unit: setup ## unit tests, which need only Python
	$(PYTHON) -m pytest --numprocesses=2 tests/unit $(SHOW)

# The binaries are built in a command of their own, because pytest hides the progress. If the build fails, the tests are
# skipped with the reason, and in CI they fail. Two clusters run at a time, because a cluster mostly waits.
test-cluster: setup ## tests with a real API server and etcd on this machine
	-$(PYTHON) -m tests.cluster.binaries $(SHOW)
	$(PYTHON) -m pytest --numprocesses=2 --dist=loadfile tests/cluster $(SHOW)

test-kubernetes: test-kubernetes-oldest test-kubernetes-newest ## test-cluster on the oldest and on the newest promised Kubernetes (two builds of up to 15 minutes)

test-kubernetes-%: export OOMPOLICY_KUBERNETES = $*
test-kubernetes-%: setup
	$(PYTHON) -m tests.cluster.binaries
	$(PYTHON) -m pytest --numprocesses=2 --dist=loadfile tests/cluster

cluster-binaries: setup ## build kube-apiserver and kubectl and fetch etcd, once (5 to 15 minutes)
	$(PYTHON) -m tests.cluster.binaries $(SHOW)

test-node: test-node-trixie ## real OOMs in a guest with Debian 13's kernel (test-node-KERNEL: another kernel)

test-node-once: setup ## the node tests that run on Debian 13's kernel alone: agent, adjuster, scores, kill scopes
	$(PYTHON) -m vmtest.run --kernel trixie --deadline 2700 -- \
		env OOMPOLICY_SCORED_OOMS=$(SCORED_OOMS) \
		python3 -m pytest -p no:cacheprovider --durations=30 tests/node --ignore=$(PAGE) $(ON_ONE_KERNEL) $(SHOW)

test-node-%: setup
	$(PYTHON) -m vmtest.run --kernel $* --deadline 2700 -- \
		env OOMPOLICY_RANDOM_OOMS=$(RANDOM_OOMS) OOMPOLICY_SCORED_OOMS=$(SCORED_OOMS) \
		python3 -m pytest -p no:cacheprovider --durations=30 $(NODE_TESTS) $(SHOW)

# It does not depend on test-node-trixie, which make runs once for all targets of a run.
test-page: setup ## run the commands of docs/node.md on Debian 13
	$(PYTHON) -m vmtest.run --kernel trixie --deadline 900 -- \
		python3 -m pytest -p no:cacheprovider $(PAGE) $(SHOW)

# In a guest with one NUMA node, the cpuset of these tests would contain the whole memory.
test-numa: setup ## a second guest, with two NUMA nodes: cpusets, memory policies, and a kernel that takes no modules
	$(PYTHON) -m vmtest.run --nodes 2 --deadline 900 -- \
		python3 -m pytest -p no:cacheprovider tests/node/test_numa.py tests/node/test_preflight.py $(SHOW)

test-more-kernels: test-node-trixie-backports test-node-patched-6.12 ## node tests on the newest stock kernel and on a patched kernel

LINES := $(notdir $(wildcard kernel/patches/*))
# The stock kernel of Debian's next release. Its compiler is newer than the one that builds the module.
NEXT_KERNEL := forky
test-kernels: setup ## checks, builds and selftest of the patches, and node tests on all kernels that other targets leave out
	kernel/build --check $(LINES:%=patched-%)
	$(PYTHON) -m vmtest.patched.selftest $(LINES:%=patched-%)
	$(PYTHON) -m vmtest.suite --write kernel-hook $(LINES:%=patched-%) $(LINES:%=as-posted-%) $(NEXT_KERNEL)

test-old-kernels: setup ## observing and scores on the kernels of Debian 12 and 11, and the table in docs/kernels.md
	$(PYTHON) -m vmtest.suite --write kernels --ooms $(SCORED_OOMS) $(OLD_KERNELS) $(SHOW)

# The image of this guest is made under emulation, so no other target makes it.
test-arm64: setup ## node tests on Debian 13's kernel for arm64, emulated, and the table in docs/kernels.md
	scripts/setup --arm64
	$(PYTHON) -m vmtest.suite --write arm64 --ooms $(SCORED_OOMS) trixie-arm64 $(SHOW)

# The binaries are built separately, as for test-cluster. -raP shows the measured times.
test-endtoend: setup ## from kubectl apply to kubectl get events: a cluster here, its node in a guest
	-$(PYTHON) -m tests.cluster.binaries $(SHOW)
	$(PYTHON) -m pytest -raP --durations=10 tests/endtoend $(SHOW)

# Images and binaries are built separately, as for test-cluster. -raP shows the sizes.
IMAGE_TESTS = -m "not second_build"
test-images-once: setup ## build and run the images with a Docker Engine that the tests start
	-$(PYTHON) -m tests.image.build $(SHOW)
	-$(PYTHON) -m tests.cluster.binaries $(SHOW)
	$(PYTHON) -m pytest -raP --durations=10 $(IMAGE_TESTS) tests/image $(SHOW)

test-images: IMAGE_TESTS =
test-images: test-images-once ## the same, and check that a second build has the same digest

# The disk is built separately, as for test-cluster. -raP shows the measured times.
test-realnode: setup ## chart and images on a node with containerd and a kubelet in a guest
	-$(PYTHON) -m tests.realnode.disk $(SHOW)
	$(PYTHON) -m pytest -raP --durations=10 tests/realnode $(SHOW)

realnode: setup ## start that node and its cluster until Ctrl-C (build/realnode.env sets up a shell)
	@mkdir -p build
	$(PYTHON) -m tests.realnode build/realnode.env

generated: setup ## write README, kustomize bases and the answers of docs/benchmarks.md again, after a change of the chart or a table
	$(PYTHON) -m benchmarks.answers
	$(PYTHON) -m publish.readme
	$(PYTHON) -m publish.kustomize --helm "$$($(PYTHON) -m tests.cluster.chart.helm)"

# The address from which krew fetches the archive.
DIST_URL ?= https://releases.example/oompolicy

# The time of all files makes two builds of one commit equal.
dist: export SOURCE_DATE_EPOCH = $(shell cat image/source-date-epoch)
dist: setup ## build chart, wheel, command line as one file, kubectl plugin, krew manifest and checksums in dist/ (DIST_URL=the address of the folder)
	mkdir -p dist
	$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --build-constraint image/tools.txt --wheel-dir dist .
	$(PYTHON) -m bundle dist --url $(DIST_URL)
	$(PYTHON) -m publish.notes --into dist
	$(PYTHON) -m publish.chart --helm "$$($(PYTHON) -m tests.cluster.chart.helm)" --into dist --digests dist/digests.json
	cd dist && sha256sum *.whl *.pyz *.tar.gz *.tgz oom.yaml $$(ls *.cdx.json 2>/dev/null) >SHA256SUMS

# These targets are for the release workflow: docs/release.md.
release-check: setup ## print the reasons why this commit cannot be released as TAG
	$(PYTHON) -m publish.check --tag "$(TAG)"

release-images: setup ## build and push the three images (Docker with a login at the registry)
	$(PYTHON) -m publish.steps images

release-chart: setup ## push the chart of dist/ (a login of Helm at the registry)
	$(PYTHON) -m publish.steps chart --helm "$$($(PYTHON) -m tests.cluster.chart.helm)"

release-outputs:
	@$(PYTHON) -m publish.steps outputs

release-sign: setup ## sign images, chart and checksums with cosign
	$(PYTHON) -m publish.steps sign

release-site: setup ## commit the site of this version to the branch gh-pages (SITE_FLAGS=--push: and push it)
	$(PYTHON) -m publish.site $(SITE_FLAGS)

# cosign is built in a command of its own, as for test-cluster. A failure has the output of the target that failed.
release-dry-run: setup ## release this commit to a registry on this machine, with a throw-away key, and check the result
	$(PYTHON) -m tests.release.cosign
	-$(PYTHON) -m tests.realnode.disk
	$(PYTHON) -m pytest -raP --durations=5 tests/release

bench: setup ## measure the time of a selection (results: docs/benchmarks.md)
	$(PYTHON) -m benchmarks

bench-cluster: setup ## measure operator and API server with 150,000 pods
	$(PYTHON) -m benchmarks.cluster

bench-path: setup ## measure the time of a label change and of a kill through a cluster
	$(PYTHON) -m benchmarks.path

bench-images: setup ## measure the size of the images and the start of their programs
	$(PYTHON) -m benchmarks.images

bench-realnode: setup ## measure the agent on a node with 110 pods
	$(PYTHON) -m benchmarks.realnode

bench-race: setup ## measure how fast a container may grow on a node with scores
	$(PYTHON) -m benchmarks.race

bench-surplus: setup ## measure how often the kernel kills more processes than needed, without and with oompolicy
	$(PYTHON) -m benchmarks.surplus

bench-adjuster: setup ## measure the adjuster on a node with 110 pods
	$(PYTHON) -m benchmarks.adjuster

campaign: setup ## run 10,000 random OOMs on all kernels, and write docs/campaign.md (hours, and you can interrupt it)
	$(PYTHON) -m campaign

clean: ## delete build results in the checkout (the cache stays)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache

.PHONY: help setup demo demo-cluster check test test-more lint docs test-unit test-cluster cluster-binaries test-node test-numa test-page \
	test-more-kernels test-kubernetes test-kernels test-old-kernels test-arm64 test-endtoend test-images-once test-images test-realnode realnode generated dist release-check release-images release-chart release-sign release-outputs release-site release-dry-run \
	bench bench-adjuster bench-images bench-cluster bench-path bench-race bench-realnode bench-surplus campaign clean
