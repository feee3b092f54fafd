# What there is to do. A fresh machine needs rustup's Rust, make, python3, and root or what the targets then name.
# Everything else is got once and kept in ${XDG_CACHE_HOME:-~/.cache}/switchyard.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test bench bench-cluster bench-hosts wasm envoy kube promtool ratelimit redis deploy book fuzz lint clean

TARGET := $(or $(CARGO_TARGET_DIR),target)
# One selection of packages and features for all tests: with another, cargo compiles the dependencies once more.
TESTED := --workspace --exclude switchyard-filter --features switchyard-policy/schema
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 10

help: ## Say what there is to do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 23

demo: wasm envoy ## Start it all and say what to try; SELFTEST=1 toggles by itself and counts what failed
	cargo build -p switchyard -p switchyard-tests --bin switchyard --bin demo
	ENVOY="$$(scripts/envoy.sh)" $(TARGET)/debug/demo

test: wasm book envoy kube promtool ratelimit redis ## Every test, on real parts
	scripts/reproducible.sh
	scripts/render.sh --check
	cargo test $(TESTED) --no-run
	cargo test $(TESTED) --lib --bins --test commands --test modules
	scripts/node.sh >/dev/null
	filter/node-tests.sh
	ENVOY="$$(scripts/envoy.sh)" KUBEBUILDER_ASSETS="$$(scripts/kube.sh)" PROMTOOL="$$(scripts/promtool.sh)" \
	    RATELIMIT="$$(scripts/ratelimit.sh)" REDIS="$$(scripts/redis.sh)" \
	    scripts/netns.sh cargo test --offline $(TESTED) --test e2e
	ENVOY="$$(scripts/envoy.sh)" SELFTEST=1 scripts/netns.sh $(TARGET)/debug/demo
	scripts/fuzz.sh $(FUZZ_SECONDS)

bench: wasm envoy ## Measure, on a real Envoy; writes bench/RESULTS.md and bench/results.json
	cargo build --release -p switchyard -p switchyard-tests --bin switchyard --bin bench
	ENVOY="$$(scripts/envoy.sh)" $(TARGET)/release/bench

bench-cluster: wasm envoy kube ## Measure beside Contour, in a cluster; writes bench/RESULTS-cluster.md and bench/results-cluster.json
	cargo build --release -p switchyard -p switchyard-tests --bin switchyard --bin bench-cluster
	ENVOY="$$(scripts/envoy.sh)" KUBEBUILDER_ASSETS="$$(scripts/kube.sh)" CONTOUR="$$(scripts/contour.sh)" \
	    scripts/netns.sh $(TARGET)/release/bench-cluster

bench-hosts: wasm envoy kube ## Measure what a host costs among 10,000, in a cluster; writes bench/RESULTS-hosts.md and bench/results-hosts.json
	cargo build --release -p switchyard -p switchyard-tests --bin switchyard --bin bench-cluster
	ENVOY="$$(scripts/envoy.sh)" KUBEBUILDER_ASSETS="$$(scripts/kube.sh)" scripts/netns.sh $(TARGET)/release/bench-cluster --many

wasm: ## Build the filter: target/wasm/switchyard.wasm
	./wasm-build.sh

envoy: ## Get Envoy, and print where it is
	@scripts/envoy.sh

kube: ## Get a Kubernetes API server, and print where it is
	@scripts/kube.sh

promtool: ## Get promtool, and print where it is
	@scripts/promtool.sh

ratelimit: ## Get envoyproxy/ratelimit, and print where it is
	@scripts/ratelimit.sh

redis: ## Get a Redis server, and print where it is
	@scripts/redis.sh

deploy: ## Render deploy/switchyard.yaml from the Helm chart
	scripts/render.sh

book: ## Build the book from docs/: target/book
	"$$(scripts/cargo-tool.sh mdbook 0.5.2 --no-default-features)/mdbook" build docs

fuzz: ## Run each fuzz target for FUZZ_SECONDS
	scripts/fuzz.sh $(FUZZ_SECONDS)

lint: ## Formatting, clippy, licences, sizes
	scripts/lint.sh

clean: ## Remove what was built here (not the cache)
	cargo clean
	rm -rf fuzz/target fuzz/artifacts
