#!/usr/bin/env bash
# tests/page/run.sh BINARY FOLDER: makes the page of `report --html` for 0, 1 and 5,000 dispatches, and looks at it in headless Chromium:
# 390 and 1280 px, light and dark, by keyboard, without script, printed, and with axe-core. The pictures stay in FOLDER, to be looked at.
# Where Chromium, node or the two npm packages cannot be had it says SKIPPED and is no failure.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "$1")
mkdir -p "$2"
folder=$(cd "$2" && pwd)

skip() {
    echo "SKIPPED: the page was not looked at: $1" >&2
    exit 0
}
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || skip "there is no Chromium (Debian: apt-get install chromium)"
export CHROMIUM
command -v node >/dev/null && command -v npm >/dev/null || skip "there is no node with npm"
# Outside of the project: nothing of it is ever committed.
packages=$folder/packages
if [ ! -e "$packages/node_modules/axe-core" ] || [ ! -e "$packages/node_modules/puppeteer-core" ]; then
    mkdir -p "$packages"
    (cd "$packages" && npm install --silent --no-fund --no-audit --ignore-scripts --prefix . axe-core@4 puppeteer-core@24 >&2) ||
        skip "axe-core and puppeteer-core cannot be had from npm"
fi
cp "$here/check.js" "$packages/check.js"

pages=()
for count in 0 1 5000; do
    home=$folder/home-$count
    rm -rf "$home"
    node "$here/home.js" "$home" "$count"
    begun=$(date +%s%N)
    GSTACK_HOME=$home TZ=UTC0 "$binary" report --html "$folder/page-$count.html"
    echo "$count dispatches: $((($(date +%s%N) - begun) / 1000000)) ms, $(stat -c %s "$folder/page-$count.html") bytes"
    pages+=("$folder/page-$count.html")
done
mkdir -p "$folder/pictures"
node "$packages/check.js" "$folder/pictures" "${pages[@]}"
