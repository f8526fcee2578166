# The package and the page. Needs cargo, node and npm; everything else is fetched at pinned versions.

WASM_FILE := target/wasm32-unknown-unknown/wasm-release/clinlite.wasm
# The same with the instructions of relaxed-simd; a folder of its own, or the two would rebuild each other.
RELAXED   := target/relaxed
RELAXED_FILE := $(RELAXED)/wasm32-unknown-unknown/wasm-release/clinlite.wasm
# What writes results in other forms: most pages never download it.
EXPORT    := target/wasm32-unknown-unknown/wasm-small/clinlite.wasm
BINDGEN   := target/tools/debug/bindgen
# The scripts that wasm-bindgen writes; what a page downloads is bundled from them and the sources of the package.
GLUE      := pkg/build/glue
BUILDERS  := pkg/build/node_modules/.package-lock.json
BROWSER   := tests/browser/node_modules/.package-lock.json
PEERS     := benches/web/node_modules/.package-lock.json
SHRINK    := node pkg/build/node_modules/binaryen/bin/wasm-opt -O3
BUNDLE    := node pkg/build/node_modules/esbuild/bin/esbuild --bundle --minify --format=esm --target=es2022 --log-level=warning
# Panics name a file of a dependency, and not where this machine keeps it.
TRIMMED   := --config 'target.wasm32-unknown-unknown.rustflags=["--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src="]'
NPM_CI    := npm ci --no-fund --no-audit --loglevel=error --prefix

demo: pkg ## build the page and serve it on localhost
	node www/serve.mjs

wasm: $(WASM_FILE) ## the library as WebAssembly

pkg: pkg/dist/clinlite_bg.wasm pkg/dist/clinlite_relaxed_bg.wasm pkg/dist/clinlite_export_bg.wasm pkg/dist/index.js pkg/dist/tagging-1.json ## the npm package, ready to serve
	cmp $(GLUE)/clinlite.js $(RELAXED)/glue/clinlite.js # one script for both
	node pkg/build/sizes.mjs

# cargo knows whether there is something to do; an untouched file leaves what follows alone.
$(WASM_FILE): wasm-target FORCE
	cargo build --locked --lib --profile wasm-release $(WASM) $(TRIMMED)

$(RELAXED_FILE): wasm-target FORCE
	cargo build --locked --lib --profile wasm-release $(WASM) --target-dir $(RELAXED) $(TRIMMED) \
		--config 'target.wasm32-unknown-unknown.rustflags=["-Ctarget-feature=+relaxed-simd"]'

$(EXPORT): wasm-target FORCE
	cargo build --locked --lib --profile wasm-small $(WASM_TARGET) --features wasm-export $(TRIMMED)

$(BINDGEN): pkg/build/bindgen.rs pkg/build/Cargo.toml pkg/build/Cargo.lock
	cargo build --locked --manifest-path pkg/build/Cargo.toml --target-dir target/tools
	touch $@

$(BUILDERS): pkg/build/package-lock.json
	$(NPM_CI) pkg/build --ignore-scripts
	touch $@

pkg/dist/clinlite_bg.wasm: $(WASM_FILE) $(BINDGEN) $(BUILDERS)
	$(BINDGEN) $< $(GLUE) clinlite
	mkdir -p $(@D)
	$(SHRINK) $(GLUE)/$(@F) -o $@

pkg/dist/clinlite_relaxed_bg.wasm: $(RELAXED_FILE) $(BINDGEN) $(BUILDERS)
	$(BINDGEN) $< $(RELAXED)/glue clinlite
	mkdir -p $(@D)
	$(SHRINK) $(RELAXED)/glue/clinlite_bg.wasm -o $@

pkg/dist/clinlite_export_bg.wasm: $(EXPORT) $(BINDGEN) $(BUILDERS)
	$(BINDGEN) $< $(GLUE) clinlite_export
	mkdir -p $(@D)
	$(SHRINK) $(GLUE)/$(@F) -o $@

# One script for the page, one for a worker, and one that a worker asks for when results are to be written in other forms.
pkg/dist/index.js: pkg/dist/clinlite_bg.wasm pkg/dist/clinlite_export_bg.wasm $(wildcard pkg/*.js)
	$(BUNDLE) pkg/index.js pkg/worker.js --splitting --chunk-names=[name] --outdir=$(@D)

pkg/dist/tagging-1.json: docs/schema/tagging-1.json
	mkdir -p $(@D)
	cp $< $@

browser-setup: $(BROWSER)
	node tests/browser/chrome.mjs --install

# Tests in Firefox are skipped, and say so, where none can be had.
firefox-setup: $(BROWSER)
	node tests/browser/firefox.mjs --install

$(BROWSER): tests/browser/package-lock.json
	$(NPM_CI) tests/browser
	touch $@

test-browser: pkg browser-setup ## the page in a real browser
	cargo test $(TESTED) --no-run --test main # with it the binary, as the Rust tests have built it
	node --test --test-concurrency=1 --test-reporter=spec tests/browser/*.test.mjs

test-firefox: pkg firefox-setup vulkan-setup ## the same answers in Firefox, on CPU and WebGPU
	cargo test $(TESTED) --no-run --test main
	node --test --test-concurrency=1 --test-reporter=spec tests/browser/firefox/*.test.mjs

# BENCH="--quick" makes it short; what else it takes stands in benches/web/run.mjs.
bench-web: pkg browser-setup $(PEERS) ## this runtime, onnxruntime-web and transformers.js in one page
	node benches/web/run.mjs $(BENCH)

# No scripts: those of the peers fetch what only Node would run.
$(PEERS): benches/web/package-lock.json
	$(NPM_CI) benches/web --ignore-scripts
	touch $@

.PHONY: demo wasm pkg browser-setup firefox-setup test-browser test-firefox bench-web FORCE
FORCE:
