#!/usr/bin/env bash
# tests/slurm/cluster.sh: a Slurm of two nodes on this host, for `make test-slurm`.
#
#   run COMMAND...   up in a fresh directory, the command with GSTACK_TEST_SLURM=DIR, down, whatever came of it
#   up DIR           munged, slurmctld and two slurmd (n1, n2; four CPUs each by declaration) that live in DIR alone
#   node DIR NAME    that node's slurmd once more, after a test killed it; it takes up what runs
#   down DIR         cancels what runs, ends the daemons by their pid files, and says whether a process of DIR was left
#
# It needs root and no systemd. What is missing comes from apt (slurm-wlm, munge); nothing else outside of DIR is
# touched. The four daemons listen on ports of 127.0.0.1 that were free, so that two clusters may stand side by side.
# Exit: 1 failed, 77 SKIPPED (`run`: 0, with the word on stderr).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
patience=${GSTACK_TEST_PATIENCE:-60} # seconds, for whatever should happen at once

say() { echo "slurm: $*"; }
fail() { echo "slurm: FAILED: $*" >&2; exit 1; }
skip() { echo "slurm: SKIPPED: $*" >&2; exit 77; }

await() { # WHAT COMMAND...: until it is true, or the deadline
    local what=$1 end=$((SECONDS + patience))
    shift
    until "$@"; do
        ((SECONDS < end)) || { echo "slurm: waited ${patience} s in vain: $what" >&2 && return 1; }
        sleep 0.05
    done
}

# ---- programs

install_missing() {
    local missing=() pair
    # A test of cgroups or of a package's state would say less: these are what is run.
    for pair in srun:slurm-wlm slurmctld:slurm-wlm slurmd:slurm-wlm munged:munge; do
        command -v "${pair%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    ((${#missing[@]} > 0)) || return 0
    command -v apt-get >/dev/null || skip "srun, slurmctld, slurmd or munged is missing, and there is no apt-get"
    say "installing slurm-wlm and munge"
    local said
    said=$(mktemp) && {
        apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge
    } >"$said" 2>&1 || {
        tail -n 5 "$said" >&2 && rm -f "$said"
        skip "apt-get cannot install slurm-wlm and munge"
    }
    rm -f "$said"
}

# ---- up

listens() { # PORT: whether a socket of this host has it
    grep -qi "^ *[0-9]*: [0-9a-f]*:$(printf %04x "$1") " /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

free_port() { # below the ports that the kernel gives out by itself
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        listens "$port" || { echo "$port" && return; }
    done
}

configure() { # munge's key and slurm.conf, with new ports
    cat >"$dir/slurm.conf" <<END
ClusterName=lab
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket=$dir/munge/munge.socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
# It follows parents, so that it ends a child that called setsid with its step, but not one whose parents are gone.
# What proctrack/cgroup does about these on a real cluster is done by the task epilog: no cgroups of ours are made.
ProctrackType=proctrack/linuxproc
TaskEpilog=$dir/task_epilog.sh
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
ReturnToService=2
SlurmdTimeout=30
KillWait=5
MessageTimeout=10
# More CPUs than the host has.
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$(free_port) CPUs=4 State=UNKNOWN
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$(free_port) CPUs=4 State=UNKNOWN
PartitionName=p Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
END
}

# Runs on the node when a task has ended, before srun is told: what is left of the step goes.
write_task_epilog() {
    cat >"$dir/task_epilog.sh" <<'END'
#!/bin/sh
[ -z "${GSTACK_TEST_NO_EPILOG-}" ] || exit 0
# The look itself must not carry the number that it looks for.
while :; do
    left=
    for file in $(env -i grep -lzxF "SLURM_JOB_ID=$SLURM_JOB_ID" /proc/[0-9]*/environ 2>/dev/null); do
        pid=${file#/proc/} pid=${pid%/environ}
        [ "$pid" = $$ ] || left="$left $pid"
    done
    [ -n "$left" ] || exit 0
    kill -KILL $left 2>/dev/null
done
END
    chmod 755 "$dir/task_epilog.sh"
}

answers() { sinfo -h >/dev/null 2>&1; }
both_idle() { [[ $(sinfo -h -t idle -o %D 2>/dev/null) == 2 ]]; }

start_munged() {
    dd if=/dev/urandom of="$dir/munge/munge.key" bs=1 count=1024 status=none
    chmod 400 "$dir/munge/munge.key"
    munged --key-file="$dir/munge/munge.key" --socket="$dir/munge/munge.socket" --pid-file="$dir/munge/munged.pid" \
        --log-file="$dir/munge/munged.log" --seed-file="$dir/munge/seed"
}

# Without -c: after a crash it takes up what is still running.
start_node() { slurmd -N "$1"; }

start_slurm() {
    slurmctld -c && await "slurmctld to answer" answers && start_node n1 && start_node n2 &&
        await "two idle nodes" both_idle
}

up() {
    local began try
    ((EUID == 0)) || skip "Slurm's daemons on one host need root"
    install_missing
    began=$EPOCHREALTIME
    [[ ! -e $dir || -z $(ls -A "$dir") ]] || fail "$dir is not empty"
    mkdir -p "$dir"/{munge,state,log,spool-n1,spool-n2}
    chmod 755 "$dir" "$dir/munge"
    write_task_epilog
    start_munged
    # Somebody may have taken a port between the look and the bind.
    for try in 1 2 3; do
        configure
        patience=$((try == 3 ? patience : 15)) start_slurm && break
        ((try < 3)) || fail "no cluster after $try tries: $(tail -n 5 "$dir"/log/*.log)"
        say "once more, with other ports" >&2
        end_daemons
        rm -rf "$dir"/state/* "$dir"/spool-n1/* "$dir"/spool-n2/*
    done
    say "$(slurmctld -V), $(munged --version | head -n 1 | cut -d' ' -f1), in $dir, ports" \
        "$(sed -n 's/.*Port=\([0-9]*\).*/\1/p' "$dir/slurm.conf" | xargs)"
    say "two nodes idle after $(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $began }") s:" \
        "$(sinfo -h -N -o '%N %c CPUs %t;' | xargs)"
}

# ---- down

is_program() { [[ -e /proc/$1 && $(cat "/proc/$1/comm" 2>/dev/null) == "$2" ]]; }
has_ended() { ! is_program "$1" "$2"; }

end_daemons() {
    local file pid program
    for file in "$dir"/slurmd-n1.pid "$dir"/slurmd-n2.pid "$dir"/slurmctld.pid "$dir"/munge/munged.pid; do
        [[ -s $file ]] || continue
        pid=$(<"$file") program=${file##*/} && program=${program%%[-.]*}
        # A number may belong to somebody else by now.
        is_program "$pid" "$program" || continue
        kill -TERM "$pid"
        await "the end of $program ($pid)" has_ended "$pid" "$program" || true
        [[ $program == munged ]] || say "ended $program ($pid)"
    done
}

# What has our slurm.conf in its environment and is a program of Slurm or munge, or carries the number of a job: steps, and
# what these started. (A person's shell may have the one without the other.) The look itself must have neither.
of_this_cluster() {
    local pid
    for pid in $(with "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ); do
        case $(cat "/proc/$pid/comm" 2>/dev/null) in
        slurm* | munged) echo "$pid" ;;
        *) with 'SLURM_JOB_ID=[0-9]*' "/proc/$pid/environ" ;;
        esac
    done
}
with() { # PATTERN FILE...: pids
    { env -i grep -lzx "$1" "${@:2}" 2>/dev/null || true; } | sed 's|/proc/||; s|/environ||'
}
none_left() { [[ -z $(of_this_cluster) ]]; }
queue_is_empty() { [[ -z $(squeue -h 2>/dev/null) ]]; }

down() {
    local left pid
    [[ -e $dir/slurm.conf ]] || fail "$dir holds no cluster"
    if answers; then
        queue_is_empty || { say "cancelling $(squeue -h | wc -l) jobs" && scancel -u root; }
        await "an empty queue" queue_is_empty || true
    fi
    end_daemons
    patience=5 await "the end of every process of $dir" none_left || true
    left=$(of_this_cluster)
    for pid in $left; do
        echo "slurm: left behind, killed: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")" >&2
        kill -KILL "$pid" 2>/dev/null || true
    done
    [[ -z $left ]] || await "the end of what was killed" none_left || true
    rm -rf "$dir"
    [[ -z $left ]] || fail "processes were left behind"
    say "down, 0 processes left, $dir is gone"
}

# ---- verbs

finish() { # an interrupt must not leave a cluster behind
    local status=$?
    trap '' INT TERM
    [[ ! -e $dir/slurm.conf ]] || "$here/cluster.sh" down "$dir" || status=$((status == 0 ? 1 : status))
    rm -rf "$dir"
    exit "$((status == 77 ? 0 : status))"
}

run() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/gstack-slurm.XXXXXX")
    trap finish EXIT
    trap 'exit 130' INT TERM
    "$here/cluster.sh" up "$dir"
    GSTACK_TEST_SLURM=$dir "$@"
}

verb=${1-} && shift || true
case $verb in
run)
    (($# > 0)) || fail "usage: cluster.sh run COMMAND..."
    run "$@"
    ;;
up | down | node)
    [[ ${1-} == /* ]] || fail "usage: cluster.sh $verb /absolute/directory"
    dir=$1
    export SLURM_CONF=$dir/slurm.conf
    case $verb in node) start_node "${2:?a node}" ;; *) "$verb" ;; esac
    ;;
*) fail "usage: cluster.sh run COMMAND... | up DIR | node DIR NAME | down DIR" ;;
esac
