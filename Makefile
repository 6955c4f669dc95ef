# make demo    build, and see one dispatch become a report (no account needed)
# make test    all tests; those with the real agents need npm and say SKIPPED without it
#
# Also: soak (half an hour of kills and power cuts), hostile (what a session can do to its own claim; GSTACK_TEST_HOSTILE=target:action:moment), fuzz (SECONDS=60 for each target), mutants, page-test (Chromium, npm), bench (AGAINST='COMMAND'), build, lint, static, static-test, dist (tarballs; DIST_ARGS=--twice builds again and compares), macos-check, crates, install (PREFIX, DESTDIR), test-latest, test-slurm (root; a Slurm of two nodes on this host), clean.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
SECONDS ?= 60
# Most tests wait for a daemon, so that more of them run at once than there are processors.
TEST_THREADS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ "$$n" -gt 4 ] && echo "$$n" || echo 4)
STATIC_TARGETS ?= x86_64-unknown-linux-musl aarch64-unknown-linux-musl
NAME := gstack-dispatch-daemon

.PHONY: page-test demo test test-latest test-slurm soak hostile fuzz mutants bench build lint static static-test dist macos-check crates install clean

demo:
	$(CARGO) build --locked
	@fixtures/demo.sh "$(TARGET_DIR)/debug/$(NAME)"

# What was skipped is said at the end, where it is seen.
test:
	@rm -f "$(TARGET_DIR)/tmp/skipped.txt"
	RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test --locked
	$(CARGO) test --locked --features failpoints --test faults
	@cat "$(TARGET_DIR)/tmp/skipped.txt" 2>/dev/null || true

# The same end-to-end tests against the newest Claude Code on npm. Apart, since it changes under us.
test-latest:
	$(CARGO) test --locked --test it claude::latest -- --ignored --nocapture

# Sessions under a real Slurm, which tests/slurm/cluster.sh brings up on this host (root; apt for what is missing) and takes down, whatever came of the tests.
test-slurm:
	$(CARGO) test --locked --test it --no-run
	tests/slurm/cluster.sh run $(CARGO) test --locked --test it slurm:: -- --ignored --nocapture --test-threads 1 $(TEST)

# The same storms and power cuts as in `make test`, for long. GSTACK_TEST_SEED repeats one.
soak:
	$(CARGO) test --locked --test it callback_storm::soak_ -- --ignored --nocapture
	$(CARGO) test --locked --features failpoints --test faults soak_ -- --ignored --nocapture --test-threads 1
	GSTACK_TEST_WORLDS=20000 $(CARGO) test --locked --test machine whatever -- --nocapture

# Whatever a session can do to its own claim, as tables; `make test` has some of it. GSTACK_TEST_HOSTILE=target:action:moment
# (any part may be empty) repeats a few.
hostile:
	$(CARGO) test --locked --test it hostile::full -- --ignored --nocapture

# Any bytes in the five places where bytes come from outside (tests/fuzz), led by what they reach. Nightly, cargo-fuzz.
fuzz:
	CARGO="$(CARGO)" tests/fuzz/run.sh "$(SECONDS)"

# One safeguard after the other taken out of a copy of the source: a test has to notice. An hour; python3.
mutants:
	tests/mutants.py $(MUTANTS)

# The page of `report --html` in headless Chromium, with axe-core: pictures and what was found are in $(TARGET_DIR)/page.
page-test:
	$(CARGO) build --locked
	tests/page/run.sh "$(TARGET_DIR)/debug/$(NAME)" "$(TARGET_DIR)/page"

# Measures, beside the run's own floor, on ext4 with a journal (root mounts one where there is none); AGAINST='COMMAND' adds another daemon with the same directory, interleaved.
bench:
	$(CARGO) bench --locked --bench bench -- $(if $(AGAINST),--against '$(AGAINST)') $(BENCH_ARGS)

build:
	$(CARGO) build --locked --release

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --features failpoints -- -D warnings

# One file that runs on any Linux of its processor; STATIC_TARGETS names others. tests/static/build.sh says how.
static:
	CARGO="$(CARGO)" tests/static/build.sh $(STATIC_TARGETS)

# They work in an empty root and under qemu-user, TLS too. What cannot be run here says SKIPPED.
static-test: static
	tests/static.sh

# What is given away: a tarball for each of STATIC_TARGETS, and their checksums. The same commit gives the same bytes.
dist:
	CARGO="$(CARGO)" tests/static/dist.sh $(DIST_ARGS) $(STATIC_TARGETS)

# Compiled and linked for macOS on Apple silicon, not run.
macos-check:
	CARGO="$(CARGO)" tests/static/macos.sh

# How many crates, their licences, where they come from, known holes (.cargo/deny.toml).
crates:
	CARGO="$(CARGO)" tests/static/crates.sh

install: build
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 "$(TARGET_DIR)/release/$(NAME)" "$(DESTDIR)$(PREFIX)/bin/$(NAME)"

clean:
	$(CARGO) clean
