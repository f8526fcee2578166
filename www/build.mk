# The package and the page. Needs cargo, node and npm; everything else is fetched at pinned versions.

WASM_FILE := target/wasm32-unknown-unknown/wasm-release/clinlite.wasm
BINDGEN   := target/tools/debug/bindgen
WASM_OPT  := pkg/build/node_modules/.package-lock.json
BROWSER   := tests/browser/node_modules/.package-lock.json
PEERS     := benches/web/node_modules/.package-lock.json
NPM_CI    := npm ci --no-fund --no-audit --loglevel=error --prefix

demo: pkg ## build the page and serve it on localhost
	node www/serve.mjs

wasm: $(WASM_FILE) ## the library as WebAssembly

pkg: pkg/dist/clinlite_bg.wasm ## the npm package, ready to serve

# cargo knows whether there is something to do; an untouched file leaves what follows alone.
$(WASM_FILE): wasm-target FORCE
	cargo build --locked --lib --profile wasm-release $(WASM)

$(BINDGEN): pkg/build/bindgen.rs pkg/build/Cargo.toml pkg/build/Cargo.lock
	cargo build --locked --manifest-path pkg/build/Cargo.toml --target-dir target/tools
	touch $@

$(WASM_OPT): pkg/build/package-lock.json
	$(NPM_CI) pkg/build
	touch $@

pkg/dist/clinlite_bg.wasm: $(WASM_FILE) $(BINDGEN) $(WASM_OPT)
	mkdir -p $(@D)
	$(BINDGEN) $(WASM_FILE) $(@D)
	node pkg/build/node_modules/binaryen/bin/wasm-opt -O3 $@ -o $@.small
	mv $@.small $@
	node pkg/build/sizes.mjs

browser-setup: $(BROWSER)
	node tests/browser/chrome.mjs --install

$(BROWSER): tests/browser/package-lock.json
	$(NPM_CI) tests/browser
	touch $@

test-browser: pkg browser-setup ## the page in a real browser
	cargo test --locked --no-run --test main # with it the binary, as the Rust tests have built it
	node --test --test-concurrency=1 --test-reporter=spec tests/browser/*.test.mjs

# BENCH="--quick" makes it short; what else it takes stands in benches/web/run.mjs.
bench-web: pkg browser-setup $(PEERS) ## this runtime, onnxruntime-web and transformers.js in one page
	node benches/web/run.mjs $(BENCH)

# No scripts: those of the peers fetch what only Node would run.
$(PEERS): benches/web/package-lock.json
	$(NPM_CI) benches/web --ignore-scripts
	touch $@

.PHONY: demo wasm pkg browser-setup test-browser bench-web FORCE
FORCE:
