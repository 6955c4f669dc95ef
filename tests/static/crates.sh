#!/usr/bin/env bash
# tests/static/crates.sh: what the program is made of; `make crates`.
#
# At most 57 crates (ours among them) and none twice, for every system that we build for; then cargo-deny with
# .cargo/deny.toml: licences, bans, where each crate comes from, and known holes. That list comes from GitHub: what cannot
# be had is SKIPPED.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
crates_max=58
config=.cargo/deny.toml
status=0 skipped=()

tree() { "$cargo" tree --locked -e normal --prefix none --target "$@"; }

for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl aarch64-apple-darwin; do
    crates=$(tree "$target" --no-dedupe | awk '{ print $1, $2 }' | sort -u | wc -l)
    echo "$target: $crates crates of at most $crates_max"
    ((crates <= crates_max)) || { echo "FAILED: too many crates" >&2 && status=1; }
    # When there are none, a note on stderr says so.
    twice=$(tree "$target" --duplicates --depth 0 2>/dev/null)
    [[ -z $twice ]] || { echo "FAILED: in two versions: ${twice//$'\n'/, }" >&2 && status=1; }
done

found=0
PATH=$(tests/static/tools.sh deny || exit $?):$PATH || found=$?
case $found in
0)
    cargo-deny --locked --config "$config" check licenses bans sources || status=1
    if timeout 120 cargo-deny --config "$config" fetch db >/dev/null 2>&1; then
        cargo-deny --config "$config" check advisories || status=1
    else
        skipped+=("advisories: the RustSec database (GitHub) cannot be reached")
    fi
    ;;
77) skipped+=("licences, bans, sources and advisories: no cargo-deny here") ;;
*) exit 1 ;;
esac
for line in ${skipped[@]+"${skipped[@]}"}; do echo "SKIPPED: $line" >&2; done
exit $status
