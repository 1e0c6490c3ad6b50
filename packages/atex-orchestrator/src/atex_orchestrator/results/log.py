"""`log.txt`: what the packages say of themselves by `logging` while a run goes on.

Guarantees: lines of all threads, whole; the loggers are afterwards as they were before. A failure to write is not a
failure of the run.
"""

import logging
from pathlib import Path

PACKAGES = ("atex_sut_agent", "atex_fmf", "atex_provision", "atex_executor", "atex_orchestrator")
FORMAT = "%(asctime)s %(levelname)-7s %(threadName)s: %(message)s"


class LogFile:
    """Writes what the packages log, from INFO on, to a file, until it is closed."""

    def __init__(self, path: Path) -> None:
        """Open `path` and listen to the packages. Raises OSError."""
        self._handler = _Quiet(path, encoding="utf-8", errors="backslashreplace")
        self._handler.setFormatter(logging.Formatter(FORMAT))
        self._handler.setLevel(logging.INFO)
        self._levels = {name: logging.getLogger(name).level for name in PACKAGES}
        for name, level in self._levels.items():
            logger = logging.getLogger(name)
            logger.addHandler(self._handler)
            if level == logging.NOTSET or level > logging.INFO:
                logger.setLevel(logging.INFO)

    def close(self) -> None:
        """Stop listening and close the file; any number of times."""
        for name, level in self._levels.items():
            logger = logging.getLogger(name)
            logger.removeHandler(self._handler)
            logger.setLevel(level)
        self._handler.close()


class _Quiet(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Lose the line: a full disk is the sink's to report, and logging would print a traceback a line."""
