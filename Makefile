# The front door. Every target sets up what it needs; versions are pinned in rust-toolchain.toml, Cargo.lock and
# tests/browser/package-lock.json.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

NATIVE_FEATURES := "--no-default-features" "--no-default-features --features candle" "--no-default-features --features train" "" "--features cuda,webgpu"
# What the tests are built with, once for all of them.
TESTED := --locked --features webgpu
# What the package holds: `FEATURES=wasm` leaves WebGPU out.
FEATURES ?= wasm,webgpu
WASM_TARGET := --target wasm32-unknown-unknown --no-default-features
WASM := $(WASM_TARGET) --features $(FEATURES)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

include www/build.mk

test: wasm-target pkg browser-setup firefox-setup vulkan-setup ## all tests: Rust, wasm, browser
	REQUIRE_GPU=$$(node tests/webgpu/driver.mjs) cargo test $(TESTED)
	node tests/wasm/run.mjs
	$(MAKE) --no-print-directory test-browser test-firefox

check: wasm-target fmt clippy docs test ## what must be green before a change lands

fmt:
	cargo fmt --check

clippy: wasm-target
	for features in $(NATIVE_FEATURES); do cargo clippy --locked --all-targets $$features -- -D warnings; done
	for features in $(FEATURES) wasm-export; do cargo clippy --locked --lib $(WASM_TARGET) --features $$features -- -D warnings; done

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib --document-private-items

bench: ## kernels, training and the encoder beside their peers
	cargo bench --locked
	node benches/web/prepare.mjs
	python3 benches/beside_onnxruntime.py $(BENCH)

# Tests of the GPU run on a software driver; where none can be had they are skipped and say so.
vulkan-setup:
	node tests/webgpu/driver.mjs --install

wasm-target:
	@rustup target list --installed 2>/dev/null | grep -q wasm32-unknown-unknown || rustup target add wasm32-unknown-unknown

.PHONY: help test check fmt clippy docs bench wasm-target vulkan-setup
