#!/bin/bash
# How the programs were compiled and linked, read from the binaries; prints TAP.
set -u
BUILD=${BUILD:-build}
[ -z "${SANITIZED:-}" ] || { echo "programs with sanitizers are compiled and linked otherwise"; exit 77; }
n=0 failed=0
result() { # ok? title
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; failed=1; fi
}
has() { grep -q "$@"; }

for program in "$BUILD"/{efs-init,efs-sidecar,efs-watch,efsctl,efsctl-static,libefscache.so}; do
    name=${program##*/}
    [ -e "$program" ] || continue
    head=$(readelf -Wh "$program") segments=$(readelf -Wl "$program") dynamic=$(readelf -Wd "$program")
    symbols=$(readelf -Ws "$program")
    has 'Type: *DYN' <<<"$head"; result $? "$name: position-independent"
    has 'GNU_STACK.* RW ' <<<"$segments"; result $? "$name: no executable stack"
    has GNU_RELRO <<<"$segments"; result $? "$name: relocations are read-only"
    has -E 'BIND_NOW|FLAGS_1.*NOW' <<<"$dynamic"; result $? "$name: bound at start"
    ! has -E 'RPATH|RUNPATH|TEXTREL' <<<"$dynamic"; result $? "$name: no path of its own to libraries, no relocations in the text"
    case $name in
    efsctl-static | libefscache.so) ;; # their symbols are their own
    *)
        has __stack_chk_fail <<<"$symbols"; result $? "$name: stack protector"
        has -E '__(mem|str|sn|vsn|fd|read|f)[a-z]*_chk' <<<"$symbols"; result $? "$name: fortified calls"
        ;;
    esac
    ! has -w -E 'gets|mktemp|tmpnam|system|popen' < <(sed -n 's/.* UND //p' <<<"$symbols"); result $? "$name: calls nothing that cannot be called safely"
done
[ $n -gt 30 ]; result $? "the binaries are there"
echo "1..$n"
exit $failed
