# shellcheck shell=bash
# Run the scenario $1 on the cluster, with the options behind it, and print what it logged as "bench: ...". To be sourced.
bench_cluster() {
    local build=${BUILD:-build} scenario=$1 name work
    name=$(basename "$1" .py)
    shift
    work=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    make -s BUILD="$build"
    BUILD=$build tests/as-root tests/cluster/run --build "$build" --results "$work/cluster" "$@" "$scenario" >"$work/tap" || {
        cat "$work/tap"
        return 1
    }
    sed -n 's/.*bench: //p' "$work/cluster/$name/log"
}
