#!/bin/bash
# Some folders have $NEEDED_MIB free. Where there is a control file, each of them is a result of its own, with a log;
# everywhere else the exit code says all there is to say.

failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

report() { # NAME STATUS: sends a result, with the log
    [ -n "${ATEX_TEST_CONTROL-}" ] || return 0
    local json='{"name": "'$1'", "status": "'$2'", "files": [{"name": "log.txt", "length": '$(wc -c <"$log")'}]}'
    { echo "result $json" && cat "$log"; } >&"$ATEX_TEST_CONTROL"
}

check() { # NAME COMMAND...: one part of the test
    local name=$1 status=pass
    shift
    "$@" >"$log" 2>&1 || { status=fail failed=1; }
    echo "$name: $status"
    cat "$log"
    report "$name" "$status"
}

has_room() { # FOLDER
    df --block-size=1M "$1"
    (($(df --block-size=1M --output=avail "$1" | tail -n 1) >= NEEDED_MIB))
}

for folder in /tmp /var/tmp; do
    check "room in $folder" has_room "$folder"
done
exit "$failed"
