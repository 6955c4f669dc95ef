#!/usr/bin/env bash
# tests/static/build.sh [TARGET...]: release binaries that need nothing of the system they run on; `make static`.
#
# Default: x86_64 and aarch64 Linux on musl. The one for this processor is built with the C compiler that is here, the
# other with zig (tests/static/tools.sh). Where rustup cannot add the musl target of this processor, the GNU one is linked
# with its static C library instead; a TARGET that ends in -gnu asks for that. Each binary is checked: no interpreter, no
# library, and (musl) at most 5 MB. A target that cannot be built here is SKIPPED; exit 1 if one fails, or if all are skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/static
name=gstack-dispatch-daemon
bytes_max=5000000
out=${CARGO_TARGET_DIR:-target}
cargo=${CARGO:-cargo}

[[ $# -gt 0 ]] || set -- x86_64-unknown-linux-musl aarch64-unknown-linux-musl

is_native() { [[ $(uname -s) == Linux && ${1%%-*} == "$(uname -m)" ]]; }

# rustup's, or one that came with the toolchain.
has_target() { compgen -G "$(rustc --print target-libdir --target "$1" 2>/dev/null)/libstd-*.rlib" >/dev/null; }
add_target() { has_target "$1" || { rustup target add "$1" >&2 && has_target "$1"; }; }

# BINARY TARGET: says what it is; fails if it is not what was promised.
check() {
    local kind needs bytes
    kind='not looked at: SKIPPED, file is not installed'
    if command -v file >/dev/null; then
        kind=$(file -b "$1")
        case $kind in
        ELF*"statically linked"* | ELF*"static-pie linked"*) ;;
        *) echo "FAILED: $1 is not static: $kind" >&2; return 1 ;;
        esac
        case $kind in *"not stripped"*) echo "FAILED: $1 is not stripped" >&2; return 1 ;; esac
    fi
    needs='not asked: SKIPPED, ldd is not installed'
    if command -v ldd >/dev/null; then
        needs=$(ldd "$1" 2>&1 || true)
        case $needs in
        *"statically linked"* | *"not a dynamic executable"*) needs=${needs##*$'\t'} ;;
        *) echo "FAILED: $1 needs libraries: $needs" >&2; return 1 ;;
        esac
    fi
    bytes=$(wc -c <"$1")
    printf '%s\n    file: %s\n    ldd:  %s\n    size: %d bytes' "$1" "$kind" "$needs" "$bytes"
    if [[ $2 == *-musl ]]; then
        printf ' of at most %d\n' "$bytes_max"
        ((bytes <= bytes_max)) || { echo "FAILED: $1 is too large" >&2; return 1; }
    else
        printf '\n'
    fi
}

built=0 skipped=()
for target; do
    if ! add_target "$target"; then
        if is_native "$target" && [[ $target == *-musl ]]; then
            echo "SKIPPED: rustup cannot add $target; taking the static GNU C library instead (it finds hosts only where" \
                "the same glibc is installed)" >&2
            target=${target%musl}gnu
        else
            skipped+=("$target: rustup cannot add it")
            continue
        fi
    fi
    if is_native "$target"; then
        variable=CC_${target//-/_}
        # What is relocated at the start is written in a fraction of the bytes (musl reads that since 1.2.4).
        flags="${RUSTFLAGS-} -C link-arg=-Wl,-z,pack-relative-relocs"
        [[ $target == *-musl ]] || flags="${RUSTFLAGS-} -C target-feature=+crt-static"
        env "$variable=${CC:-cc}" RUSTFLAGS="$flags" "$cargo" build --locked --release --target "$target"
    else
        status=0
        tools=$("$here/tools.sh" zig) || status=$?
        if ((status == 77)); then
            skipped+=("$target: no C compiler for it")
            continue
        fi
        ((status == 0)) || exit 1
        PATH=$tools:$PATH "$cargo" zigbuild --locked --release --target "$target"
    fi
    check "$out/$target/release/$name" "$target" || exit 1
    built=$((built + 1))
done
for line in ${skipped[@]+"${skipped[@]}"}; do echo "SKIPPED: $line" >&2; done
((built > 0)) || { echo "FAILED: nothing could be built" >&2; exit 1; }
