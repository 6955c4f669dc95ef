#!/usr/bin/env bash
# tests/gemini-cli.sh VERSION: prints the absolute path of a real Gemini CLI executable of that version.
#
# The CLI is installed from npm once, into a cache folder outside of the clone, and is used from there ever after,
# without the network. It is JavaScript, so that it needs node 20 or newer; npm runs no script of the package. Exit: 0
# path on stdout, 1 failed, 2 wrong usage, 77 SKIPPED (no npm, no node, no registry). Two runs at once do not hurt each
# other: each installs beside the target, and one rename wins.
set -euo pipefail

package=@google/gemini-cli

skip() { echo "SKIPPED: $*" >&2; exit 77; }
fail() { echo "gemini-cli.sh: $*" >&2; exit 1; }

# What npm says when the registry, and not the request, is the trouble.
unreachable='E(NOTFOUND|CONNREFUSED|CONNRESET|CONNABORTED|TIMEDOUT|TIMEOUT|AI_AGAIN|HOSTUNREACH|NETUNREACH|5[0-9][0-9])\b|ERR_SOCKET|CERT|network'

# npm, quietly; where it fails, this script ends with 77 or 1 and what npm said.
npm_or_exit() {
    local said status=0
    said=$(mktemp "$work/npm.XXXXXX")
    npm --no-audit --no-fund --no-progress --no-update-notifier --loglevel=error --fetch-retries=2 \
        --fetch-retry-mintimeout=2000 --fetch-retry-factor=2 --fetch-timeout=120000 "$@" 2>"$said" || status=$?
    ((status == 0)) && return 0
    if grep -Eq "$unreachable" "$said"; then
        skip "the npm registry cannot be reached: $(grep -Em1 "$unreachable" "$said")"
    fi
    fail "npm $1 failed ($status): $(grep -v '^npm warn' "$said" | head -c 1000)"
}

[[ $# -eq 1 && $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]*)?$ ]] || {
    echo "usage: tests/gemini-cli.sh VERSION   (such as 0.61.0)" >&2
    exit 2
}
version=$1
command -v node >/dev/null || skip "node is not installed"
(($(node -p 'process.versions.node.split(".")[0]') >= 20)) || skip "node is older than 20"
cache=${GSTACK_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/gstack-dispatch-daemon-tests}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd -P)
target=$cache/gemini-$version
program=$target/node_modules/.bin/gemini

if [[ ! -d $target ]]; then
    command -v npm >/dev/null || skip "npm is not installed"
    find "$cache" -maxdepth 1 -name '.installing-*' -mmin +120 -exec rm -rf {} +   # of runs that were killed
    work=$(mktemp -d "$cache/.installing-gemini-$version.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/tree"
    echo '{"private": true}' >"$work/tree/package.json"
    npm_or_exit install --prefix "$work/tree" --ignore-scripts --no-save "$package@$version" >/dev/null
    # rename(2) through node: `mv` would move into a directory that another run has just put there.
    node -e 'require("fs").renameSync(process.argv[1], process.argv[2])' "$work/tree" "$target" 2>/dev/null || true
fi
[[ $(GEMINI_CLI_NO_RELAUNCH=1 "$program" --version </dev/null 2>/dev/null) == "$version" ]] ||
    fail "$target does not run; remove it and try again"
echo "$program"
