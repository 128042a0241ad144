#!/bin/bash
# make demo: shows what it promises, and leaves nothing behind, also when it is interrupted at any moment.
set -u
cd "$(dirname "$0")/../.." || exit 1
out=$(mktemp)
trap 'rm -f "$out"' EXIT
failed=0

result() { # code name
    if [ "$1" -eq 0 ]; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        cat "$out"
        failed=1
    fi
}

# Its scratch folder, and processes that have it in their environment.
leftovers() {
    scratch=$(grep -o '/tmp/efs-demo\.[A-Za-z0-9]*' "$out" | head -n 1)
    [ -n "$scratch" ] || return 1
    [ ! -e "$scratch" ] || echo "$scratch"
    grep -lsF "$scratch" /proc/[0-9]*/environ
    return 0
}

demo/run >"$out" 2>&1
result $? "it ends well"
for text in "ready after" "healthy" "report.csv  9 B  by web-b" "my turn, with token" "MountReady          True" "efs_sidecar_mount_ready"; do
    grep -qF -- "$text" "$out"
    result $? "it shows: $text"
done
found=$(leftovers) && [ -z "$found" ]
result $? "nothing is left${found:+: $found}"

for moment in "2. A sidecar" "3. The app" "6. Metrics"; do
    : >"$out"
    setsid demo/run >"$out" 2>&1 &
    pid=$!
    for _ in $(seq 200); do
        grep -qF "$moment" "$out" && break
        sleep 0.05
    done
    kill -TERM $pid
    wait $pid
    code=$?
    # One that comes when it has ended by itself changes nothing.
    found=$(leftovers) && [ -z "$found" ] && { [ $code -eq 130 ] || grep -qF "That was all" "$out"; }
    result $? "nothing is left after a signal at \"$moment\" (exit code $code)${found:+: $found}"
done
exit $failed
