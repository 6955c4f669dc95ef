#!/usr/bin/env bash
# tests/static/macos.sh: compiles and links for macOS on Apple silicon, from Linux; `make macos-check`.
#
# zig (tests/static/tools.sh) brings the compiler and the system's C library, but no frameworks: Apple's SDK may not be
# passed on. The linker needs of a framework no more than its path and the names that we use, which stand in macos/*.tbd; a
# name that is not there fails the link, and belongs there if Apple's documentation has it. No warning is let through.
# macho.py then looks whether the system would load the result. On a Mac the real SDK is used. Nothing is run.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=gstack-dispatch-daemon
cargo=${CARGO:-cargo}
out=${CARGO_TARGET_DIR:-target}
target=aarch64-apple-darwin
flags="${RUSTFLAGS-} -D warnings"

has_target() { compgen -G "$(rustc --print target-libdir --target $target 2>/dev/null)/libstd-*.rlib" >/dev/null; }
has_target || { rustup target add $target >&2 && has_target; } || {
    echo "SKIPPED: rustup cannot add $target" >&2
    exit 0
}
if [[ $(uname -s) == Darwin ]]; then
    RUSTFLAGS=$flags "$cargo" build --locked --release --target $target
else
    status=0
    tools=$(tests/static/tools.sh zig) || status=$?
    # Not even `cargo check` goes without: ring compiles C.
    ((status != 77)) || { echo "SKIPPED: macOS is not checked: no C compiler for it" >&2 && exit 0; }
    ((status == 0)) || exit 1
    # An SDK, if the machine has one (SDKROOT), comes before our lists of names.
    # What rustc asks for; zig alone would ask for a newer one.
    export MACOSX_DEPLOYMENT_TARGET=${MACOSX_DEPLOYMENT_TARGET:-11.0}
    RUSTFLAGS="$flags -C link-arg=-F$PWD/tests/static/macos" PATH=$tools:$PATH \
        "$cargo" zigbuild --locked --release --target $target
fi
program=$out/$target/release/$name
printf '%s\n    size: %d bytes\n' "$program" "$(wc -c <"$program")"
python3 tests/static/macho.py "$program"
