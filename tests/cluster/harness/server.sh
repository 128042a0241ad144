#!/bin/sh
# Runs in the server: server.sh boot ADDRESS/BITS | server.sh empty | server.sh restart [forget]
#
# The export is ext4 on a block device: like EFS it has 64-bit change attributes, hard links, O_DIRECT, stale handles
# after unlink and data that survives a restart of the server; tmpfs lacks the first and the last.
set -eu
disk=/mnt/disk
root=/mnt/export
variants="normal readonly squash1000 squash_nowrite rootsquash"

boot() {
    mkdir -p /run/modules/lib
    ln -s /usr/lib/uml/modules /run/modules/lib/modules
    modprobe -d /run/modules -a nfsd sch_netem

    ip link set lo up
    ip addr add "$1" dev vec0
    ip link set vec0 up
    ethtool -K vec0 tso off gso off gro on >/dev/null

    mkdir "$disk" "$root"
    mount -t ext4 -o iversion,noatime /dev/ubda "$disk"
    for variant in $variants; do # each a mount point: only there does knfsd look for options of its own
        mkdir "$disk/$variant" "$root/$variant"
        mount --bind "$disk/$variant" "$root/$variant"
    done
    empty

    mount -t tmpfs -o mode=0755 tmpfs /var/lib/nfs
    mkdir -p /run/rpc_pipefs /var/lib/nfs/nfsdcld
    touch /var/lib/nfs/etab /var/lib/nfs/rmtab
    mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs
    mount -t nfsd nfsd /proc/fs/nfsd
    mount --bind "${0%/*}/nfs.conf" /etc/nfs.conf
    nfsdcld
    echo 1048576 >/proc/fs/nfsd/max_block_size # what EFS grants
    echo 0 >/proc/sys/fs/leases-enable # no delegations, as on EFS

    share() { exportfs -o "sync,insecure,no_subtree_check,$2" "*:$root$1"; }
    share "" ro,fsid=0
    share /normal rw,no_root_squash,fsid=1
    share /readonly ro,no_root_squash,fsid=2
    share /squash1000 rw,all_squash,anonuid=1000,anongid=1000,fsid=3
    share /squash_nowrite rw,all_squash,anonuid=1000,anongid=1000,fsid=4
    share /rootsquash rw,root_squash,fsid=5
    rpc.mountd 2>/dev/null
    rpc.nfsd
}

# Fresh folders, so that modes and owners are those of a new file system too.
empty() {
    for variant in $variants; do
        find "$disk/$variant" -mindepth 1 -delete
        chmod 0755 "$disk/$variant"
        chown 0:0 "$disk/$variant"
    done
    chown 1000:1000 "$disk/squash1000"
}

restart() {
    rpc.nfsd 0
    if [ "${1-}" = forget ]; then
        killall -q nfsdcld || true
        rm -rf /var/lib/nfs/nfsdcld/*
        nfsdcld
    fi
    rpc.nfsd
}

command=$1
shift
"$command" "$@"
