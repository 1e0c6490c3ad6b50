"""Every word of the control file, said by a program. It is started three times: the machine restarts in between."""

import json
import os
import socket
import subprocess
import time

control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
control.connect(os.environ["ATEX_CONTROL_FILE"])
replies = control.makefile()


def say(line):
    control.sendall(line.encode() + b"\n")


def result(files=None, **keys):
    files = files or {}
    keys["files"] = [{"name": name, "length": len(files[name])} for name in files]
    text = json.dumps(keys, indent=4).encode()
    control.sendall(b"result %d\n" % len(text) + text + b"".join(files.values()))


def restart_machine(*words):
    say(" ".join(words))
    replies.read()  # end of file: the host has noted it
    subprocess.call("reboot")


count = os.environ["TMT_REBOOT_COUNT"]
print("start", count, flush=True)
if count == "0":
    say('result {"name": "on the line", "status": "pass", "testout": "seen.txt"}')
    result(name="by its length", status="info")
    for line in [b"one\n", b"two\n"]:
        result({"log.txt": line}, name="live", partial=True)

    say("duration 10m")
    say("duration +60")
    say("duration -1m")
    say("duration refresh")
    say("duration save")
    say("duration 1m")
    result({"upload.txt": b"the bytes of a file\n"}, name="upload", status="pass")
    say("duration restore")

    say("noop")
    say("mark every-word=said")
    say("addtest /tests/later GREETING='said by python'")
    say("sync done")
    print(replies.readline(), end="", flush=True)
    restart_machine("restart", "120")
elif count == "1":
    result(name="live", status="pass")
    restart_machine("disconnect")
else:
    try:
        say("exitcode 7")
        say("abort every word was said")
        time.sleep(600)
    except KeyboardInterrupt:
        print("cleaned up")
