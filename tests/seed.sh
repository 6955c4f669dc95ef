#!/usr/bin/env bash
# tests/seed.sh: prepares the seed, the Bun daemon that ours replaces, and prints the command that runs it: two words, the
# path of bun and the path of seed.ts.
#
# The seed's text is taken from ${GSTACK_SEED:-../shared/seed/gstack-dispatch-daemon.txt} (relative to the repository), as
# the README beside it says, without the `--project` argument, which no Claude Code knows. Nothing of it comes into the
# repository: seed.ts and bun, a pinned version from npm, lie in the cache folder of tests/cache.sh, and are used from
# there ever after, without the network. Exit: 0 command on stdout, 1 failed, 2 wrong usage, 77 SKIPPED (no text of the
# seed, no npm, no registry). Two runs at once do not hurt each other: each works beside the target, and one rename wins.
set -euo pipefail
# shellcheck source=tests/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

version=1.4.5

# The bun of the tree $1 that runs: the program lies in the package of the platform.
runnable() {
    local candidate
    for candidate in "$1"/node_modules/@oven/bun-*/bin/bun; do
        [[ -f $candidate ]] || continue
        [[ -x $candidate ]] || chmod +x "$candidate"
        if [[ $("$candidate" --version </dev/null 2>/dev/null) == "$version" ]]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# The TypeScript of the document $1: what follows its `#!` line, without the `|` lines that break it up.
typescript() {
    grep -v '^ *|$' "$1" | awk '/^#!/ { from = 1 } from'
}

[[ $# -eq 0 ]] || { echo "usage: tests/seed.sh" >&2; exit 2; }
here=$(cd "$(dirname "$0")/.." && pwd -P)
text=${GSTACK_SEED:-../shared/seed/gstack-dispatch-daemon.txt}
[[ $text == /* ]] || text=$here/$text
[[ -r $text ]] || skip "the seed's text is not at $text (GSTACK_SEED names another place)"

open_cache
open_work seed

typescript "$text" >"$work/whole.ts"
project='^ *"--project", projectDir,$'
[[ $(grep -c "$project" "$work/whole.ts") == 1 ]] || fail "$text is not the seed: no --project argument to take out"
grep -v "$project" "$work/whole.ts" >"$work/seed.ts"
# Its name says which text it is.
seed=$cache/seed-$(cksum <"$work/seed.ts" | tr ' ' -).ts
[[ -f $seed ]] || mv -f "$work/seed.ts" "$seed"

bun=$cache/bun-$version
if [[ ! -d $bun ]]; then
    npm_install "bun@$version"
    runnable "$work/tree" >/dev/null || fail "bun@$version has no program that runs here"
    put_in_place "$bun"
fi
program=$(runnable "$bun") || fail "$bun does not run; remove it and try again"
echo "$program $seed"
