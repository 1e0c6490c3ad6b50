"""The helper process behind `Keeper`: python keeper_process.py FOLDER COMMAND...

Reads orders from stdin, a line each, and answers `done`:

    boot   start COMMAND (output to FOLDER/log.txt, pid to FOLDER/pid); it is started again when
           it ends as a machine does that reboots
    kill   kill COMMAND with SIGKILL and reap it

At end of file it kills all its descendants, also those that made sessions of their own (it is their
subreaper), removes the control groups that FOLDER/cgroups lists, removes FOLDER and ends. Standard
library only: it runs with `python -I -S`.
"""

import contextlib
import ctypes
import os
import selectors
import shutil
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
REBOOTED = (
    -signal.SIGHUP,  # `unshare`: what a pid namespace's init dies of when reboot(2) is called there
    133,  # systemd-nspawn, see its manual
)

prctl = ctypes.CDLL(None).prctl


def main(folder: str, command: list[str]) -> None:
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakeup, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(wakeup, selectors.EVENT_READ)
    running = 0
    answer()
    try:
        while True:
            for key, _ in selector.select():
                if key.fd == wakeup:
                    os.read(wakeup, 4096)
                    ended = reap(running)
                    if ended is not None:
                        running = start(folder, command) if ended in REBOOTED else 0
                    continue
                orders = os.read(0, 4096)
                if not orders:
                    return
                for order in orders.split():
                    if order == b"boot" and not running:
                        running = start(folder, command)
                    elif order == b"kill" and running:
                        os.kill(running, signal.SIGKILL)
                        os.waitpid(running, 0)
                        running = 0
                    answer()
    finally:
        kill_descendants()
        remove_cgroups(folder)
        shutil.rmtree(folder, ignore_errors=True)


def answer() -> None:
    # We may be gone before the answer comes: then the next read says so.
    with contextlib.suppress(OSError):
        os.write(1, b"done\n")


def start(folder: str, command: list[str]) -> int:
    pid = os.fork()
    if pid:
        with open(f"{folder}/pid.new", "w") as file:
            file.write(str(pid))
        os.rename(f"{folder}/pid.new", f"{folder}/pid")  # it may be read at any moment
        return pid
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        log = os.open(f"{folder}/log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.execvp(command[0], command)
    finally:
        os._exit(127)


def reap(running: int) -> int | None:
    """Reaps whoever ended; the exit status of `running` if it was among them."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, code = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == running:
                status = os.waitstatus_to_exitcode(code)
    return status


def kill_descendants() -> None:
    """Kills children until none are left: those of a killed one become ours."""
    me = os.getpid()
    with contextlib.suppress(ChildProcessError):
        while True:
            for entry in os.listdir("/proc"):
                if entry.isdigit() and parent(entry) == me:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(entry), signal.SIGKILL)
            os.waitpid(-1, 0)


def remove_cgroups(folder: str) -> None:
    """Their processes have ended, so rmdir(2) is all that it takes, the innermost first."""
    try:
        with open(f"{folder}/cgroups") as file:
            groups = set(file.read().splitlines())
    except FileNotFoundError:
        return
    for group in groups:
        for inner, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(inner)


def parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
