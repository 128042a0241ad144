#!/bin/sh
# Runs in a task host: host.sh boot NAME ADDRESS/BITS | host.sh link DEVICE ADDRESS/BITS
set -eu

link() {
    ip link set lo up
    ip addr add "$2" dev "$1"
    ip link set "$1" up
    ethtool -K "$1" tso off gso off gro on >/dev/null
}

boot() {
    mkdir -p /run/modules/lib
    ln -s /usr/lib/uml/modules /run/modules/lib/modules
    modprobe -d /run/modules -a nfsv4 overlay sch_netem
    echo "$1" >/proc/sys/kernel/hostname
    for what in symlinks hardlinks fifos regular; do # as systemd has it everywhere
        echo 1 >/proc/sys/fs/protected_$what
    done
    link vec0 "$2"
}

command=$1
shift
"$command" "$@"
