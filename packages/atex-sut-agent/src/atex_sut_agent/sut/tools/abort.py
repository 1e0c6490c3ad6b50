"""`tmt-abort` and its older names: end this test, and take no other on this machine."""

import _signal  # type: ignore[import-not-found]  # signal without the enum

from .client import Client

USAGE = "[ARGUMENT...]"
_LONGEST_NOTE = 1000  # characters
_PATIENCE = 60  # seconds; the test is killed in five


def run(name: str, arguments: "list[str]") -> None:
    """Say so, and wait for the end. Raises ToolError.

    restraint's and its predecessor's options, which job or recipe to abort, are part of the note.
    """
    note = " ".join(" ".join([name, *arguments]).split())[:_LONGEST_NOTE]
    client = Client()
    client.send("abort {}\n".format(note).encode("utf-8", "replace"))
    client.finish()
    _signal.alarm(_PATIENCE)
    _signal.pause()
