#!/bin/sh
# Becomes a container: container.sh DIR ROOT ro|rw [SOURCE PATH ro|rw]... -- COMMAND...
#
# The first process in a mount and a pid namespace of its own, as root. ROOT is the image's file tree, seen through an
# overlay whose upper layer is in DIR, so that folders to mount on can be made; then SOURCE is bound to each PATH. ro of the
# root file system comes last. DIR/ready has its process id on the host when that is done. The command is executed and keeps the process id 1.
set -eu
dir=$1 image=$2 access=$3
shift 3

read -r pid _ </proc/self/stat
mount --make-rprivate /
mkdir -p "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay overlay -o "lowerdir=$image,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
cd "$dir/root"
mkdir -p proc sys dev .host
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
while [ "$1" != -- ]; do
    mkdir -p ".$2"
    mount --bind "$1" ".$2"
    [ "$3" = rw ] || mount -o remount,bind,ro ".$2"
    shift 3
done
shift
exec 3>"$dir/ready"
pivot_root . .host
umount -l /.host
rmdir /.host
[ "$access" = rw ] || mount -o remount,ro /
echo "$pid" >&3
exec "$@" 3>&-
