#!/usr/bin/env bash
# tests/static.sh: the static binaries of `make static` do their work where nothing else is; `make static-test`.
#
#   chroot   the one for this processor, in a root that holds the agent, a project and nothing more: no /proc, no /dev, no
#            /etc, no shell, no git. As root, else in a user namespace.
#   qemu     the one for the other processor (aarch64, or x86_64 on aarch64) under qemu-user, with fixtures/bin/claude
#
# Each runs a dispatch whose callback_url is an https server with an authority of its own: it arrives with --ca-file, and
# does not without, nor where the server's certificate is its own authority. 127.0.0.1 only. What cannot run says SKIPPED
# and why, here and at the end; a failure fails. It ends what it started, by pid.
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$PWD
program="gstack-dispatch-daemon"
out=${CARGO_TARGET_DIR:-target}
[[ $out == /* ]] || out=$repo/$out
machine=$(uname -m)
case $machine in x86_64) other=aarch64 ;; *) other=x86_64 ;; esac
# Seconds. Emulated, and on a machine that has much else to do, everything takes its time.
patience=${GSTACK_TEST_PATIENCE:-90}

passed=0 failed=0 skipped=() pids=()
scratch=$(mktemp -d "${TMPDIR:-/tmp}/gstack-static.XXXXXX")
finish() {
    local status=$? pid
    for pid in ${pids[@]+"${pids[@]}"}; do kill -KILL "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if ((failed > 0 || status != 0)); then echo "left for a look: $scratch" >&2; else rm -rf "$scratch"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

pass() { passed=$((passed + 1)) && echo "ok      $*"; }
fail() { failed=$((failed + 1)) && echo "FAILED  $*" >&2; }
skip() { skipped+=("$*") && echo "SKIPPED $*" >&2; }

# COMMAND...: until it is true, or the deadline.
await() {
    local end=$((SECONDS + patience))
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

# ---- certificates and servers

authority() { # DIR: ca.pem; server.pem and server.key, signed by it, for localhost and 127.0.0.1
    local new=(openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256)
    "${new[@]}" -x509 -days 2 -subj "/CN=test authority" -keyout "$1/ca.key" -out "$1/ca.pem" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
    "${new[@]}" -subj /CN=localhost -keyout "$1/server.key" -out "$1/server.csr"
    printf '%s\n' basicConstraints=CA:FALSE extendedKeyUsage=serverAuth subjectAltName=DNS:localhost,IP:127.0.0.1 >"$1/ext"
    openssl x509 -req -sha256 -days 2 -in "$1/server.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -set_serial 1 \
        -extfile "$1/ext" -out "$1/server.pem"
    # Its own authority, for the same names.
    "${new[@]}" -x509 -days 2 -subj /CN=localhost -keyout "$1/self.key" -out "$1/self.pem" \
        -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost,IP:127.0.0.1
}

serve() { # NAME: starts a server with NAME.pem; its port is in NAME.port
    python3 "$repo/tests/static/https_server.py" "$scratch/$1.pem" "$scratch/$1.key" "$scratch/$1.port" "$scratch/$1.log" &
    pids+=($!)
    await test -s "$scratch/$1.port"
}

# ---- a daemon and its dispatches. Everything is named as the host sees it; PREFIX is what the daemon does not see of it.

daemon=() gstack='' prefix='' project='' pid=''

start() { # ARGUMENT...: the command ${daemon[@]}, with a state folder of its own, until its first heartbeat
    rm -rf "$gstack"
    mkdir -m 700 "$gstack"
    # A second try of a callback would only be in the way.
    env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME="${project#"$prefix"}/../home" GSTACK_HOME="${gstack#"$prefix"}" \
        "${daemon[@]}" --callback-delays 0,3600 "$@" 2>>"$scratch/daemon.log" &
    pid=$!
    pids+=("$pid")
    await test -s "$gstack/dispatch/.daemon-heartbeat" && return
    fail "no heartbeat after $patience s: $(tail -n 5 "$scratch/daemon.log")"
    return 1
}

forget() { # PID: it was waited for, and may be anybody's from now on
    local each left=()
    for each in "${pids[@]}"; do [[ $each == "$1" ]] || left+=("$each"); done
    pids=(${left[@]+"${left[@]}"})
}

has_ended() { ! kill -0 "$1" 2>/dev/null; }

stop() { # as systemd would; exit 0
    local status=0
    kill -TERM "$pid"
    await has_ended "$pid" || kill -KILL "$pid"
    wait "$pid" || status=$?
    forget "$pid"
    ((status == 0)) || fail "the daemon's exit status is $status"
}

send() { # ID URL
    cat >"$gstack/new.json" <<JSON
{
  "id": "$1",
  "dispatched_by": "tests/static.sh",
  "task": "Say hello.\nfake: write hello.txt hello\nfake: result success I wrote hello.txt.",
  "project": "static",
  "project_dir": "${project#"$prefix"}",
  "callback_url": "$2"
}
JSON
    mv "$gstack/new.json" "$gstack/dispatch/$1.json"
}

has_event() { # ID EVENT...: one of them is in the audit log
    local id=$1 event
    shift
    for event; do
        grep -F "\"$id\"" "$gstack/dispatch/audit.jsonl" 2>/dev/null | grep -q "\"event\": *\"$event\"" && return 0
    done
    return 1
}

completed() { # WHAT ID: the dispatch got its report, and the agent did its work
    local report=$gstack/dispatch/completed/$2.json
    if ! await test -e "$report"; then
        fail "$1: no report after $patience s"
    elif ! grep -q '"status": *"completed"' "$report"; then
        fail "$1: $(cat "$report")"
    elif [[ $(cat "$project/hello.txt" 2>&1) != hello ]]; then
        fail "$1: the agent left no work"
    else
        pass "$1: completed"
    fi
    rm -f "$project/hello.txt"
}

arrived() { # WHAT ID SERVER: the report came through TLS
    if ! await has_event "$2" callback_sent callback_failed; then
        fail "$1: neither callback_sent nor callback_failed after $patience s"
    elif ! has_event "$2" callback_sent; then
        fail "$1: $(grep callback_failed "$gstack/dispatch/audit.jsonl")"
    elif ! grep -q "^POST.*\"$2\"" "$scratch/$3.log"; then
        fail "$1: callback_sent, and yet the server has not seen it"
    else
        pass "$1: callback_sent"
    fi
}

refused() { # WHAT ID SERVER: we did not trust the server, and told it nothing
    if ! await has_event "$2" callback_sent callback_failed; then
        fail "$1: neither callback_sent nor callback_failed after $patience s"
    elif ! grep callback_failed "$gstack/dispatch/audit.jsonl" | grep -F "\"$2\"" | grep -qi 'certificate'; then
        fail "$1: not refused because of its certificate: $(grep -F "\"$2\"" "$gstack/dispatch/audit.jsonl" | grep callback_)"
    elif grep -q "^POST.*\"$2\"" "$scratch/$3.log" 2>/dev/null; then
        fail "$1: callback_failed, and yet the server got the report"
    else
        pass "$1: callback_failed, its certificate is not trusted"
    fi
}

# WHAT AGENT CA: all dispatches, with the agent and the authority as the daemon sees them. HOST in the URLs: $host.
dispatches() {
    local what=$1 agent=$2 ca=$3
    start --claude "$agent" --ca-file "$ca" || return 0
    send dispatch-trusted "https://$host:$(cat "$scratch/server.port")/hook"
    completed "$what, a dispatch" dispatch-trusted
    arrived "$what, an authority of our own with --ca-file" dispatch-trusted server
    if [[ -n $prefix ]]; then
        mkdir "$prefix/etc"
        echo '127.0.0.1 localhost' >"$prefix/etc/hosts"
        send dispatch-by-name "https://localhost:$(cat "$scratch/server.port")/hook"
        arrived "$what, the same by name, with /etc/hosts" dispatch-by-name server
    fi
    send dispatch-self-signed "https://$host:$(cat "$scratch/self.port")/hook"
    refused "$what, a self-signed server, --ca-file names another" dispatch-self-signed self
    stop
    start --claude "$agent" || return 0
    send dispatch-unknown "https://$host:$(cat "$scratch/server.port")/hook"
    refused "$what, an authority of our own without --ca-file" dispatch-unknown server
    send dispatch-self-signed "https://$host:$(cat "$scratch/self.port")/hook"
    refused "$what, a self-signed server without --ca-file" dispatch-self-signed self
    stop
}

# ---- the two machines

static_binary() { # PROCESSOR: prints the path of what `make static` built for it
    local target
    for target in "$1-unknown-linux-musl" "$1-unknown-linux-gnu"; do
        [[ ! -x $out/$target/release/$program ]] || { echo "$out/$target/release/$program" && return; }
    done
    return 1
}

in_an_empty_root() {
    local binary target flags=() root=$scratch/root enter
    if ! binary=$(static_binary "$machine"); then
        fail "chroot: no static binary for $machine in $out: run make static"
        return 0
    fi
    target=${binary%/release/*}
    target=${target##*/}
    [[ $target == *-musl ]] || flags=(-C target-feature=+crt-static)
    mkdir "$root" "$root/project" "$root/home"
    rustc --edition 2024 -O -C panic=abort -C strip=symbols ${flags[@]+"${flags[@]}"} --target "$target" \
        -o "$root/agent" tests/static/agent.rs
    cp "$binary" "$root/daemon"
    cp "$scratch/ca.pem" "$root/ca.pem"
    enter=$(PATH=$PATH:/usr/sbin:/sbin command -v chroot) || { skip "chroot: coreutils has no chroot here" && return 0; }
    if env -i "$enter" "$root" /agent --version >/dev/null 2>&1; then
        daemon=("$enter" "$root" /daemon)
    elif unshare -r "$enter" "$root" /agent --version >/dev/null 2>&1; then
        daemon=(unshare -r "$enter" "$root" /daemon)
    else
        skip "chroot: neither chroot nor unshare -r works here: $(unshare -r "$enter" "$root" /agent --version 2>&1 | head -n 1)"
        return 0
    fi
    echo "chroot: ${daemon[*]}: $(cd "$root" && echo *)"
    prefix=$root project=$root/project gstack=$root/gstack host=127.0.0.1
    dispatches chroot /agent /ca.pem
    prefix=''
}

under_qemu() {
    local binary qemu
    if ! binary=$(static_binary "$other"); then
        skip "qemu: make static built nothing for $other"
        return 0
    fi
    qemu=$(command -v "qemu-$other-static" || command -v "qemu-$other") || {
        skip "qemu: qemu-$other is not installed (Debian: qemu-user-static)"
        return 0
    }
    mkdir "$scratch/project" "$scratch/home"
    daemon=("$qemu" "$binary") prefix='' project=$scratch/project gstack=$scratch/gstack host=localhost
    echo "qemu: ${daemon[*]}"
    dispatches qemu "$repo/fixtures/bin/claude" "$scratch/ca.pem"
}

have_all=yes
for tool in python3 openssl; do
    command -v $tool >/dev/null || { skip "everything: $tool is not installed" && have_all=no; }
done
if [[ $have_all == yes ]]; then
    authority "$scratch" >"$scratch/openssl.log" 2>&1 || { cat "$scratch/openssl.log" >&2 && exit 1; }
    serve server
    serve self
    in_an_empty_root
    under_qemu
fi

((failed == 0)) || { echo "-- what the daemon said last:" && tail -n 20 "$scratch/daemon.log"; } >&2 || true
for line in ${skipped[@]+"${skipped[@]}"}; do echo "SKIPPED: $line"; done
echo "static: $passed passed, $failed failed, ${#skipped[@]} skipped"
((failed == 0))
