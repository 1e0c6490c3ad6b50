#!/bin/bash
# Every word of the control file, said by a shell. It is started three times: the machine restarts in between.

say() {
    echo "$*" >&"$ATEX_TEST_CONTROL"
}

restart_machine() { # by `restart` or `disconnect`
    trap '' PIPE
    say "$@"
    while say noop; do sleep 0.05; done 2>/dev/null
    reboot
    exit
}

echo "start $TMT_REBOOT_COUNT"
case $TMT_REBOOT_COUNT in
0)
    say 'result {"name": "on the line", "status": "pass", "testout": "seen.txt"}'
    json='{"name": "by its length",
           "status": "info"}'
    printf 'result %d\n%s' "${#json}" "$json" >&"$ATEX_TEST_CONTROL"
    for line in one two; do
        json='{"name": "live", "partial": true, "files": [{"name": "log.txt", "length": 4}]}'
        printf 'result %s\n%s\n' "$json" "$line" >&"$ATEX_TEST_CONTROL"
    done

    say duration 10m
    say duration +60
    say duration -1m
    say duration refresh
    say duration save
    say duration 1m
    echo "the bytes of a file" >upload.txt
    atex-control result '{"name": "upload", "status": "pass"}' upload.txt
    say duration restore

    say mark every-word=said
    say "addtest /tests/later GREETING='said by bash'"
    atex-control sync done
    restart_machine restart 120
    ;;
1)
    say 'result {"name": "live", "status": "pass"}'
    restart_machine disconnect
    ;;
2)
    trap 'echo cleaned up; exit' INT
    say exitcode 7
    say abort every word was said
    sleep 600 &
    wait
    ;;
esac
