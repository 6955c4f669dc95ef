#!/usr/bin/env bash
# tests/gemini-cli.sh VERSION: prints the absolute path of a real Gemini CLI executable of that version.
#
# The CLI is installed from npm once, into a cache folder outside of the clone, and is used from there ever after,
# without the network. It is JavaScript, so that it needs node 20 or newer; npm runs no script of the package. Exit: 0
# path on stdout, 1 failed, 2 wrong usage, 77 SKIPPED (no npm, no node, no registry). Two runs at once do not hurt each
# other: each installs beside the target, and one rename wins.
set -euo pipefail
# shellcheck source=tests/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

package=@google/gemini-cli

[[ $# -eq 1 && $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]*)?$ ]] || {
    echo "usage: tests/gemini-cli.sh VERSION   (such as 0.61.0)" >&2
    exit 2
}
version=$1
command -v node >/dev/null || skip "node is not installed"
(($(node -p 'process.versions.node.split(".")[0]') >= 20)) || skip "node is older than 20"
open_cache
target=$cache/gemini-$version
program=$target/node_modules/.bin/gemini

if [[ ! -d $target ]]; then
    open_work "gemini-$version"
    npm_install "$package@$version"
    put_in_place "$target"
fi
[[ $(GEMINI_CLI_NO_RELAUNCH=1 "$program" --version </dev/null 2>/dev/null) == "$version" ]] ||
    fail "$target does not run; remove it and try again"
echo "$program"
