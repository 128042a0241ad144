#!/bin/sh
# The manual pages: well-formed, with the tables of the programs, and with every command and option that --help knows.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
failed=0

result() { # code name
    if [ "$1" -eq 0 ]; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        failed=1
    fi
}

docs/man/update --check "$(realpath "$build/tests/man-settings")" "$(realpath "$build/tests/man-metrics")"
result $? "settings and metrics in the documents are those of the programs"

mandoc -T lint -W warning docs/man/*.[1-9]
result $? "the pages are well-formed"

for program in efs-init efs-sidecar efs-watch efsctl libefscache; do
    ls docs/man/$program.[178] >/dev/null
    result $? "$program has a page"
done

page=$(mandoc -T ascii docs/man/efsctl.1 | sed 's/.\x08//g')
code=0
commands=$("$build/efsctl" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ -n "$commands" ] || code=1
for word in $commands $(for command in $commands; do "$build/efsctl" "$command" --help; done | grep -o '^  --[a-z-]*'); do
    echo "$page" | grep -qw -- "$word" || { echo "efsctl.1 lacks $word"; code=1; }
done
result $code "efsctl.1 has every command and option"
exit $failed
