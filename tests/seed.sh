#!/usr/bin/env bash
# tests/seed.sh: prepares the seed, the Bun daemon that ours replaces, and prints the command that runs it: two words, the
# path of bun and the path of seed.ts.
#
# The seed's text is taken from ${GSTACK_SEED:-../shared/seed/gstack-dispatch-daemon.txt} (relative to the repository), as
# the README beside it says, without the `--project` argument, which no Claude Code knows. Nothing of it comes into the
# repository: seed.ts and bun, a pinned version from npm, lie in the cache folder of tests/claude-cli.sh, and are used from
# there ever after, without the network. Exit: 0 command on stdout, 1 failed, 2 wrong usage, 77 SKIPPED (no text of the
# seed, no npm, no registry). Two runs at once do not hurt each other: each works beside the target, and one rename wins.
set -euo pipefail

version=1.4.5

skip() { echo "SKIPPED: $*" >&2; exit 77; }
fail() { echo "seed.sh: $*" >&2; exit 1; }

# What npm says when the registry, and not the request, is the trouble.
unreachable='E(NOTFOUND|CONNREFUSED|CONNRESET|CONNABORTED|TIMEDOUT|TIMEOUT|AI_AGAIN|HOSTUNREACH|NETUNREACH|5[0-9][0-9])\b|ERR_SOCKET|CERT|network'

# npm, quietly; where it fails, this script ends with 77 or 1 and what npm said.
npm_or_exit() {
    local said status=0
    said=$(mktemp "$work/npm.XXXXXX")
    npm --no-audit --no-fund --no-progress --no-update-notifier --loglevel=error --fetch-retries=2 \
        --fetch-retry-mintimeout=2000 --fetch-retry-factor=2 --fetch-timeout=120000 "$@" >"$said" 2>&1 || status=$?
    ((status == 0)) && return 0
    if grep -Eq "$unreachable" "$said"; then
        skip "the npm registry cannot be reached: $(grep -Em1 "$unreachable" "$said")"
    fi
    fail "npm $1 failed ($status): $(grep -v '^npm warn' "$said" | head -c 1000)"
}

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

cache=${GSTACK_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/gstack-dispatch-daemon-tests}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd -P)
find "$cache" -maxdepth 1 -name '.installing-*' -mmin +120 -exec rm -rf {} +   # of runs that were killed
work=$(mktemp -d "$cache/.installing-seed.XXXXXX")
trap 'rm -rf "$work"' EXIT

typescript "$text" >"$work/whole.ts"
project='^ *"--project", projectDir,$'
[[ $(grep -c "$project" "$work/whole.ts") == 1 ]] || fail "$text is not the seed: no --project argument to take out"
grep -v "$project" "$work/whole.ts" >"$work/seed.ts"
# Its name says which text it is.
seed=$cache/seed-$(cksum <"$work/seed.ts" | tr ' ' -).ts
[[ -f $seed ]] || mv -f "$work/seed.ts" "$seed"

bun=$cache/bun-$version
if [[ ! -d $bun ]]; then
    command -v npm >/dev/null || skip "npm is not installed"
    mkdir "$work/tree"
    echo '{"private": true}' >"$work/tree/package.json"
    npm_or_exit install --prefix "$work/tree" --ignore-scripts --no-save "bun@$version"
    runnable "$work/tree" >/dev/null || fail "bun@$version has no program that runs here"
    # rename(2) through node: `mv` would move into a directory that another run has just put there.
    node -e 'require("fs").renameSync(process.argv[1], process.argv[2])' "$work/tree" "$bun" 2>/dev/null || true
fi
program=$(runnable "$bun") || fail "$bun does not run; remove it and try again"
echo "$program $seed"
