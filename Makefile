# make demo    build, and see one dispatch become a report (no account needed)
# make test    all tests; the ones with the real Claude Code need npm and say SKIPPED without it
#
# Also: build, lint, static, install (PREFIX, DESTDIR), test-latest, clean.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
STATIC_TARGET ?= $(shell uname -m)-unknown-linux-musl
NAME := gstack-dispatch-daemon

.PHONY: demo test test-latest build lint static install clean

demo:
	$(CARGO) build --locked
	@fixtures/demo.sh "$(TARGET_DIR)/debug/$(NAME)"

# What was skipped is said at the end, where it is seen.
test:
	@rm -f "$(TARGET_DIR)/tmp/skipped.txt"
	$(CARGO) test --locked
	@cat "$(TARGET_DIR)/tmp/skipped.txt" 2>/dev/null || true

# The same end-to-end tests against the newest Claude Code on npm. Apart, since it changes under us.
test-latest:
	$(CARGO) test --locked --test it claude::latest -- --ignored --nocapture

build:
	$(CARGO) build --locked --release

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

# One file that runs on any Linux of this processor.
static:
	rustup target add $(STATIC_TARGET)
	CC_$(subst -,_,$(STATIC_TARGET))="$${CC:-cc}" $(CARGO) build --locked --release --target $(STATIC_TARGET)
	@file "$(TARGET_DIR)/$(STATIC_TARGET)/release/$(NAME)" 2>/dev/null || true
	@ls -l "$(TARGET_DIR)/$(STATIC_TARGET)/release/$(NAME)"

install: build
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 "$(TARGET_DIR)/release/$(NAME)" "$(DESTDIR)$(PREFIX)/bin/$(NAME)"

clean:
	$(CARGO) clean
