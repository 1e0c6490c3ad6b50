"""What a session's daemon is told when it is started, as it travels in its command line: an object of JSON."""

import json
import re

SLOT_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}\Z")  # it becomes part of a file's name


class Settings:
    """`protocol.Settings`, which says what each means and has the defaults: here all of them are given.

    Raises ValueError where `text` is anything else.
    """

    def __init__(self, text: str) -> None:
        try:
            given = json.loads(text)
            self.slot = str(given["slot"])
            self.owner = str(given["owner"])
            self.take_over = bool(given["take_over"])
            self.linger = float(given["linger"])
            self.beat = float(given["beat"])
            self.silence = float(given["silence"])
            self.memory = int(given["memory"])
            self.spool = int(given["spool"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("the session's settings are not understood: {!r}".format(error))
        if not SLOT_NAME.match(self.slot):
            raise ValueError("{!r} is no name of a slot".format(self.slot))
