#!/usr/bin/env bash
# tests/claude-cli.sh VERSION: prints the absolute path of a real Claude Code executable of that version.
#
# The CLI is installed from npm once, into a cache folder outside of the clone, and is used from there ever after,
# without the network. `latest` asks the registry which version that is (npm alone would quietly take an older one
# that suits the installed node; the program is native and needs no node). npm runs no script of the package: the
# program lies in the package of the platform. Exit: 0 path on stdout, 1 failed, 2 wrong usage, 77 SKIPPED (no npm, no
# registry). Two runs at once do not hurt each other: each installs beside the target, and one rename wins.
set -euo pipefail
# shellcheck source=tests/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

package=@anthropic-ai/claude-code

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
open_cache

# Installed already: no npm needed.
if [[ -d $cache/claude-$version ]]; then
    runnable "$cache/claude-$version" "$version" || fail "$cache/claude-$version does not run; remove it and try again"
    exit 0
fi

open_work "$version"

if [[ $version == latest ]]; then
    npm_or_exit view "$package" dist-tags.latest >"$work/latest"
    version=$(tail -n 1 "$work/latest")
    [[ $version =~ ^[0-9] ]] || fail "the registry names no latest version: '$version'"
fi
target=$cache/claude-$version

if [[ ! -d $target ]]; then
    npm_install "$package@$version"
    runnable "$work/tree" "$version" >/dev/null || fail "$package@$version has no program that runs here"
    put_in_place "$target"
fi
runnable "$target" "$version" || fail "$target does not run; remove it and try again"
