"""Runs a command and prints how many KiB it had resident at most: `python -I -S peak.py SECONDS COMMAND...`

It is a process of its own, and a small one, because on Linux the peak of a process is at least that of whoever
started it: the kernel counts what there was before execve(2).
"""

import os
import signal
import sys


def main() -> None:
    """Start the command, which gets SIGALRM after so many seconds, and exit as it does."""
    seconds, *command = sys.argv[1:]
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            signal.alarm(int(seconds))
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    _, status, usage = os.wait4(child, 0)
    print(usage.ru_maxrss)
    sys.exit(min(abs(os.waitstatus_to_exitcode(status)), 255))


if __name__ == "__main__":
    main()
