#!/usr/bin/env bash
# tests/claude-cli.sh VERSION: prints the absolute path of a real Claude Code executable of that version.
#
# The CLI is installed from npm once, into a cache folder outside of the clone, and is used from there ever after,
# without the network. `latest` asks the registry which version that is (npm alone would quietly take an older one
# that suits the installed node; the program is native and needs no node). npm runs no script of the package: the
# program lies in the package of the platform. Exit: 0 path on stdout, 1 failed, 2 wrong usage, 77 SKIPPED (no npm, no
# registry). Two runs at once do not hurt each other: each installs beside the target, and one rename wins.
set -euo pipefail

package=@anthropic-ai/claude-code

skip() { echo "SKIPPED: $*" >&2; exit 77; }
fail() { echo "claude-cli.sh: $*" >&2; exit 1; }

# What npm says when the registry, and not the request, is the trouble.
unreachable='E(NOTFOUND|CONNREFUSED|CONNRESET|CONNABORTED|TIMEDOUT|TIMEOUT|AI_AGAIN|HOSTUNREACH|NETUNREACH|5[0-9][0-9])\b|ERR_SOCKET|CERT|network'

# npm, quietly: its answer on stdout; where it fails, this script ends with 77 or 1 and what npm said.
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

# The first program of the tree $1 that runs and says version $2. A native one comes first: a JavaScript wrapper
# would be one process more, with another pid.
runnable() {
    local candidate
    for candidate in "$1"/node_modules/"$package"-*/claude "$1"/node_modules/.bin/claude; do
        [[ -x $candidate ]] || continue
        if [[ $(DISABLE_AUTOUPDATER=1 "$candidate" --version </dev/null 2>/dev/null) == "$2 "* ]]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

[[ $# -eq 1 && $1 =~ ^(latest|[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]*)?)$ ]] || {
    echo "usage: tests/claude-cli.sh VERSION   (such as 2.1.330, or latest)" >&2
    exit 2
}
version=$1
cache=${GSTACK_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/gstack-dispatch-daemon-tests}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd -P)

# Installed already: no npm needed.
if [[ -d $cache/claude-$version ]]; then
    runnable "$cache/claude-$version" "$version" || fail "$cache/claude-$version does not run; remove it and try again"
    exit 0
fi

command -v npm >/dev/null || skip "npm is not installed"
find "$cache" -maxdepth 1 -name '.installing-*' -mmin +120 -exec rm -rf {} +   # of runs that were killed
work=$(mktemp -d "$cache/.installing-$version.XXXXXX")
trap 'rm -rf "$work"' EXIT

if [[ $version == latest ]]; then
    npm_or_exit view "$package" dist-tags.latest >"$work/latest"
    version=$(tail -n 1 "$work/latest")
    [[ $version =~ ^[0-9] ]] || fail "the registry names no latest version: '$version'"
fi
target=$cache/claude-$version

if [[ ! -d $target ]]; then
    mkdir "$work/tree"
    echo '{"private": true}' >"$work/tree/package.json"
    npm_or_exit install --prefix "$work/tree" --ignore-scripts --no-save "$package@$version" >/dev/null
    runnable "$work/tree" "$version" >/dev/null || fail "$package@$version has no program that runs here"
    # rename(2) through node: `mv` would move into a directory that another run has just put there.
    node -e 'require("fs").renameSync(process.argv[1], process.argv[2])' "$work/tree" "$target" 2>/dev/null || true
fi
runnable "$target" "$version" || fail "$target does not run; remove it and try again"
