# What the demos have in common. To be sourced, in the top folder.
# shellcheck shell=bash

build=${BUILD:-build}

# prepare GROUP TARGET...: packages and programs; make's words only when it fails.
prepare() {
    tests/deps "$1"
    shift
    mkdir -p "$build/demo"
    make -q "$@" >/dev/null 2>&1 || echo "Building (half a minute the first time)."
    make -j2 "$@" >"$build/demo/build.log" 2>&1 || {
        cat "$build/demo/build.log" >&2
        exit 1
    }
}

bold='' plain=''
[ ! -t 1 ] || bold=$'\e[1m' plain=$'\e[0m'

step() {
    printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}
