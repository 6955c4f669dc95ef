#!/usr/bin/env bash
# tests/fuzz/run.sh SECONDS [TARGET...]: runs the fuzz targets (all five) for so long each; `make fuzz`.
#
# It begins with the corpus in git and the fixtures. What it learns on the way stays in the target directory for the next
# time; an input that breaks a property lies in tests/fuzz/artifacts, and belongs into the corpus once it is understood.
# Without a sanitizer: no code here is `unsafe`. Exit: 0 nothing found (or SKIPPED), 1 something found.
set -euo pipefail
cd "$(dirname "$0")/../.."

span=$1
shift
targets=("$@")
((${#targets[@]})) || targets=(dispatch stream audit control config)
cargo=${CARGO:-cargo}
work=${CARGO_TARGET_DIR:-target}/fuzz
# Larger inputs are cut: what is longer is reached by the units that `stream` repeats.
bytes_max=16384

skip() { echo "SKIPPED: $*"; exit 0; }
"$cargo" +nightly --version >/dev/null 2>&1 || skip "no nightly toolchain; rustup toolchain install nightly"
"$cargo" fuzz --version >/dev/null 2>&1 || skip "no cargo-fuzz; cargo install cargo-fuzz --locked"

found=()
for target in "${targets[@]}"; do
    echo "== $target, $span s"
    mkdir -p "$work/corpus/$target"
    "$cargo" +nightly fuzz run --sanitizer none --fuzz-dir tests/fuzz --target-dir "$work" "$target" \
        "$work/corpus/$target" "tests/fuzz/corpus/$target" fixtures/dispatch fixtures/streams \
        -- -max_total_time="$span" -max_len=$bytes_max -timeout=10 -print_final_stats=1 || found+=("$target")
done
((${#found[@]} == 0)) || { echo "FOUND something: ${found[*]}; see tests/fuzz/artifacts" >&2; exit 1; }
