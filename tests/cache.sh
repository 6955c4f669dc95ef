# tests/cache.sh: sourced by the scripts that install a program for the tests (*-cli.sh, seed.sh, static/tools.sh).
#
# It owns the cache folder outside of the clone, and how something comes into it: whole, by one rename, so that two runs at
# once do not hurt each other. It must not know any program. Exit of its functions: 1 failed, 77 SKIPPED.

skip() { echo "SKIPPED: $*" >&2; exit 77; }
fail() { echo "${0##*/}: $*" >&2; exit 1; }

# Sets $cache to the absolute path of the cache folder, and makes it.
open_cache() {
    cache=${GSTACK_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/gstack-dispatch-daemon-tests}
    mkdir -p "$cache"
    cache=$(cd "$cache" && pwd -P)
}

# Sets $work to a folder beside the targets, which goes when the script ends; its name has $1 in it.
open_work() {
    find "$cache" -maxdepth 1 -name '.installing-*' -mmin +120 -exec rm -rf {} +   # of runs that were killed
    work=$(mktemp -d "$cache/.installing-$1.XXXXXX")
    trap 'rm -rf "$work"' EXIT
}

# What npm says when the registry, and not the request, is the trouble.
unreachable='E(NOTFOUND|CONNREFUSED|CONNRESET|CONNABORTED|TIMEDOUT|TIMEOUT|AI_AGAIN|HOSTUNREACH|NETUNREACH|5[0-9][0-9])\b|ERR_SOCKET|CERT|network'

# npm, quietly: its answer on stdout; where it fails, the script ends with 77 or 1 and what npm said.
npm_or_exit() {
    local said status=0
    command -v npm >/dev/null || skip "npm is not installed"
    said=$(mktemp "$work/npm.XXXXXX")
    npm --no-audit --no-fund --no-progress --no-update-notifier --loglevel=error --fetch-retries=2 \
        --fetch-retry-mintimeout=2000 --fetch-retry-factor=2 --fetch-timeout=120000 "$@" 2>"$said" || status=$?
    ((status == 0)) && return 0
    if grep -Eq "$unreachable" "$said"; then
        skip "the npm registry cannot be reached: $(grep -Em1 "$unreachable" "$said")"
    fi
    fail "npm $1 failed ($status): $(grep -v '^npm warn' "$said" | head -c 1000)"
}

# Installs the package $1 into $work/tree. npm runs no script of it.
npm_install() {
    mkdir "$work/tree"
    echo '{"private": true}' >"$work/tree/package.json"
    npm_or_exit install --prefix "$work/tree" --ignore-scripts --no-save "$1" >/dev/null
}

# $work/tree becomes $1, or goes, where another run was first. This is rename(2) through node, as npm has it: `mv` would
# move into a directory that has just come.
put_in_place() {
    node -e 'require("fs").renameSync(process.argv[1], process.argv[2])' "$work/tree" "$1" 2>/dev/null || true
}
