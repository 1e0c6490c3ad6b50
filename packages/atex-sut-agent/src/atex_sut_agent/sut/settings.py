"""What a session's daemon is told when it is started, as it travels in its command line: an object of JSON."""

import json
import re

SLOT_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}\Z")  # it becomes part of a file's name


class Settings:
    """`protocol.Settings`, which says what each means, in JSON; what `text` does not name is as here.

    Raises ValueError where `text` is no object, or a value none of its kind.
    """

    slot = "0"
    owner = ""
    take_over = False
    linger = 3600.0
    beat = 15.0
    silence = 45.0
    memory = 4 * 1024 * 1024
    spool = 256 * 1024 * 1024

    def __init__(self, text: str) -> None:
        try:
            given = json.loads(text)
            self.slot = str(given.get("slot", self.slot))
            self.owner = str(given.get("owner", self.owner))
            self.take_over = bool(given.get("take_over", self.take_over))
            self.linger = float(given.get("linger", self.linger))
            self.beat = float(given.get("beat", self.beat))
            self.silence = float(given.get("silence", self.silence))
            self.memory = int(given.get("memory", self.memory))
            self.spool = int(given.get("spool", self.spool))
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError("the session's settings are not understood: {!r}".format(error))
        if not SLOT_NAME.match(self.slot):
            raise ValueError("{!r} is no name of a slot".format(self.slot))
