# imgfleet: `make run` shows it, `make test` proves it. Each target installs what it misses (Debian 12, root or sudo).

SHELL := /bin/bash
# Everything that outlives a build and is no part of the checkout: Bazel's disk cache, grpcurl, kustomize, a Python venv.
export IMGFLEET_CACHE ?= $(HOME)/.cache/imgfleet
BAZEL_FLAGS ?= --disk_cache=$(IMGFLEET_CACHE)/bazel
TARGETS ?= //...
FUZZ_SECONDS ?= 60
SOAK_SEEDS ?= 1000000
SOAK_FIRST ?= 1
CXX_FILES = git ls-files -z -- '*.cc' '*.h'

.DEFAULT_GOAL := help
.PHONY: help run build test test-k8s format format-check asan ubsan tsan fuzz mutants soak chaos coverage bench big compile-commands clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' Makefile

run: ## install, build and start a whole fleet on loopback with a list to measure; Ctrl-C stops it
	@tools/setup.sh build demo
	@BAZEL_FLAGS='$(BAZEL_FLAGS)' tools/run

build: ## build everything
	@tools/setup.sh build
	@bazel build $(BAZEL_FLAGS) $(TARGETS)

test: ## install, build and run every test (TARGETS=//folder/... for some)
	@tools/setup.sh build demo test
	@tools/run_tests.py $(BAZEL_FLAGS) $(TARGETS)

test-k8s: ## run tests/k8s/cluster on a real Kubernetes node in namespaces of its own (root; K8S='scale_test' for some, KEEP=1 keeps the node)
	@tools/setup.sh build demo test k8s
	@tests/k8s/run.py $(K8S)

format: ## format all C++ files in place
	@tools/setup.sh build test
	@$(CXX_FILES) | xargs -0 clang-format-14 -i

format-check: ## name the C++ files that are not formatted (a part of make test)
	@tools/setup.sh build test
	@tests/checks/format.py

asan ubsan tsan: ## run every test under AddressSanitizer, UndefinedBehaviorSanitizer or ThreadSanitizer
	@tools/setup.sh build demo test
	@tools/run_tests.py $(BAZEL_FLAGS) --config=$@ $(TARGETS)

fuzz: ## run each fuzz target for FUZZ_SECONDS (60)
	@tools/setup.sh build fuzz
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tools/fuzz.sh $(BAZEL_FLAGS)

mutants: ## whether the tests notice each guard that is taken away (MUTANTS='hostile polite/retry-after' for some)
	@tools/setup.sh build demo test
	@BAZEL_FLAGS='$(BAZEL_FLAGS)' tests/mutants/mutants.py $(MUTANTS)

chaos: ## kill, freeze, cut off and starve a running fleet, and compare every outcome, on both stores (CHAOS='--kills 200 --seed 7')
	@tools/setup.sh build demo test
	@bazel build $(BAZEL_FLAGS) //tests/chaos:libfaults.so //coordinator:imgfleet-coordinator //worker:imgfleet-worker \
	  //gateway:imgfleet-gateway
	@tests/chaos/chaos.py $(CHAOS)

soak: ## play SOAK_SEEDS (a million) fleets in simulated time on all cores, from SOAK_FIRST (1) on
	@tools/setup.sh build
	@bazel build $(BAZEL_FLAGS) //tests/simulation:simulate
	@tests/simulation/soak.py --seeds $(SOAK_SEEDS) --first $(SOAK_FIRST)

coverage: ## line coverage of all tests, as HTML
	@tools/setup.sh build demo test coverage
	@tools/coverage.sh $(BAZEL_FLAGS)

bench: ## measure imgfleet beside curl, aiohttp, img2dataset and a bare libcurl loop (BENCH='--rounds 5 --scenario tls1' or BENCH=--coordinator)
	@tools/setup.sh build demo bench
	@bazel build $(BAZEL_FLAGS) //bench/... //worker/fetch:dns_load //cli:imgfleet //coordinator:imgfleet-coordinator \
	  //worker:imgfleet-worker //gateway:imgfleet-gateway
	@bench/run.py $(BENCH)

big: ## lists of ten million items, and readers that stop for five minutes in one (20 minutes, 3 GB of disk)
	@tools/setup.sh build demo test
	@bazel build $(BAZEL_FLAGS) //bench/... //coordinator:imgfleet-coordinator //gateway:imgfleet-gateway
	@IMGFLEET_BIG=1 tests/cluster/large_list_test.py
	@IMGFLEET_BIG=1 tests/cluster/backpressure_test.py

compile-commands: ## write compile_commands.json for editors and clang-tidy
	@tools/setup.sh build
	@tools/compile_commands.py

clean: ## remove what Bazel built, its disk cache included (needed after an upgrade of system libraries)
	@bazel clean --expunge
	@rm -rf '$(IMGFLEET_CACHE)/bazel'
