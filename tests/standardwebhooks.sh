#!/usr/bin/env bash
# tests/standardwebhooks.sh VERSION: prints the folder that holds that version of PyPI's standardwebhooks, for PYTHONPATH.
#
# It is installed with pip once, into a cache folder outside of the clone, and is used from there ever after, without the
# network. It is pure Python and needs nothing else. Exit: 0 folder on stdout, 1 failed, 2 wrong usage, 77 SKIPPED (no
# python3, no pip, no registry). Two runs at once do not hurt each other: one rename wins.
set -euo pipefail
# shellcheck source=tests/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

[[ $# -eq 1 && $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || {
    echo "usage: tests/standardwebhooks.sh VERSION   (such as 1.1.0)" >&2
    exit 2
}
version=$1
python3 -m pip --version >/dev/null 2>&1 || skip "python3 has no pip"
open_cache
target=$cache/standardwebhooks-$version

if [[ ! -d $target ]]; then
    open_work "standardwebhooks-$version"
    python3 -m pip --quiet --disable-pip-version-check install --no-deps --retries 2 --timeout 60 \
        --target "$work/tree" "standardwebhooks==$version" >"$work/said" 2>&1 ||
        skip "pip cannot install standardwebhooks: $(tail -n 1 "$work/said")"
    mv -nT "$work/tree" "$target" || true
fi
PYTHONPATH=$target python3 -c 'import standardwebhooks.webhooks' ||
    fail "$target does not load; remove it and try again"
echo "$target"
