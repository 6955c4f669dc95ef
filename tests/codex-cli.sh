#!/usr/bin/env bash
# tests/codex-cli.sh VERSION: prints the absolute path of a real Codex CLI of that version.
#
# The CLI is installed from npm once, into a cache folder outside of the clone, and is used from there ever after,
# without the network. What is printed is the native program in the package of the platform: npm's own launcher is a
# node script, which would be one process more and needs node. npm runs no script of the package. Exit: 0 path on
# stdout, 1 failed, 2 wrong usage, 77 SKIPPED (no npm, no registry). Two runs at once do not hurt each other: each
# installs beside the target, and one rename wins.
set -euo pipefail
# shellcheck source=tests/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

package=@openai/codex

# The native program of the tree $1, if it runs and says version $2.
runnable() {
    local candidate
    for candidate in "$1"/node_modules/"$package"-*/vendor/*/bin/codex "$1"/node_modules/"$package"-*/vendor/*/codex/codex; do
        [[ -x $candidate ]] || continue
        if [[ $(CODEX_HOME=${TMPDIR:-/tmp} "$candidate" --version </dev/null 2>/dev/null) == *" $2" ]]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

[[ $# -eq 1 && $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]*)?$ ]] || {
    echo "usage: tests/codex-cli.sh VERSION   (such as 0.169.0)" >&2
    exit 2
}
version=$1
open_cache
target=$cache/codex-$version

if [[ ! -d $target ]]; then
    open_work "codex-$version"
    npm_install "$package@$version"
    runnable "$work/tree" "$version" >/dev/null || fail "$package@$version has no program that runs here"
    put_in_place "$target"
fi
runnable "$target" "$version" || fail "$target does not run; remove it and try again"
