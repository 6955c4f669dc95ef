#!/usr/bin/env bash
# tests/static/dist.sh [--twice] [TARGET...]: what is given away, in target/dist; `make dist`.
#
# For each target a tarball with the static binary (tests/static/build.sh), the man page, completions, the units, README and
# LICENSE, and SHA256SUMS beside them. The same commit gives the same bytes: times are the commit's (SOURCE_DATE_EPOCH),
# files are sorted and nobody's, and no path of this machine is in them. --twice builds our own crate again and compares.
# What a binary of another processor says comes from the one that runs here. A target that cannot be built is SKIPPED.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/static
name=gstack-dispatch-daemon
out=${CARGO_TARGET_DIR:-target}
dist=$out/dist
cargo=${CARGO:-cargo}

twice=no
[[ ${1-} != --twice ]] || { twice=yes; shift; }
[[ $# -gt 0 ]] || set -- x86_64-unknown-linux-musl aarch64-unknown-linux-musl

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
# The paths of the source, of what is built, of the packages and of the compiler, in messages and in debug information.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
remap="$(cd "$out" 2>/dev/null && pwd || echo "$PWD/target")=/target $PWD=/source $cargo_home=/cargo $(rustc --print sysroot)=/rust"
for pair in $remap; do
    RUSTFLAGS="${RUSTFLAGS-} --remap-path-prefix=$pair"
    CFLAGS="${CFLAGS-} -ffile-prefix-map=$pair"
done
export SOURCE_DATE_EPOCH RUSTFLAGS CFLAGS LC_ALL=C TZ=UTC
umask 022

binary() { echo "$out/$1/release/$name"; }

# Where build.sh put it: the GNU one stands in where rustup has no musl.
built() {
    local target
    for target in "$1" "${1%musl}gnu"; do
        [[ ! -x $(binary "$target") ]] || { binary "$target"; return; }
    done
    return 1
}

# FILE WORDS...: what our own program says; without it when it does not know that yet.
said() {
    local file=$1
    shift
    if env -i HOME=/root PATH=/usr/local/bin:/usr/bin:/bin "$native" "$@" >"$file" 2>/dev/null; then
        # The path under which it ran is nobody else's.
        sed -i "s#$PWD/$native#/usr/local/bin/$name#g; s#$native#/usr/local/bin/$name#g" "$file"
    else
        rm -f "$file"
        echo "SKIPPED: $name $* says nothing: ${file##*/} is left out" >&2
    fi
}

# TARGET BINARY DIR: one tarball.
pack() {
    local dir=$name-$version-$1
    rm -rf "${dist:?}/$dir"
    mkdir -p "$3/$dir"/{man,completions,units}
    install -m 755 "$2" "$3/$dir/$name"
    install -m 644 README.md LICENSE "$3/$dir"
    said "$3/$dir/man/$name.1" man
    said "$3/$dir/completions/$name.bash" completions bash
    said "$3/$dir/completions/_$name" completions zsh
    said "$3/$dir/completions/$name.fish" completions fish
    said "$3/$dir/units/$name.service" service systemd
    said "$3/$dir/units/$name.plist" service launchd
    said "$3/$dir/units/crontab" service cron
    find "$3/$dir" -type d -empty -delete
    tar --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w \
        --mtime="@$SOURCE_DATE_EPOCH" -C "$3" -cf - "$dir" | gzip -n -9 >"$3/$dir.tar.gz"
    rm -rf "${3:?}/$dir"
}

# DIR TARGET...: all of them.
make_all() {
    local dir=$1 target found
    shift
    rm -rf "$dir"
    mkdir -p "$dir"
    CARGO="$cargo" "$here/build.sh" "$@"
    native=$(built "$(uname -m)-unknown-linux-musl") || native=
    [[ -n $native ]] || { echo "FAILED: no binary for this processor, whose words go into each tarball" >&2; return 1; }
    for target; do
        found=$(built "$target") || { echo "SKIPPED: $target was not built" >&2; continue; }
        pack "$target" "$found" "$dir"
    done
    (cd "$dir" && sha256sum -- *.tar.gz >SHA256SUMS)
}

make_all "$dist" "$@"
if [[ $twice == yes ]]; then
    for target; do
        "$cargo" clean --release --target "$target" -p "$name" 2>/dev/null || true
    done
    make_all "$dist.again" "$@"
    cmp "$dist/SHA256SUMS" "$dist.again/SHA256SUMS" || { echo "FAILED: two builds differ" >&2; exit 1; }
    rm -rf "$dist.again"
    echo "two builds gave the same bytes"
fi
cat "$dist/SHA256SUMS"
