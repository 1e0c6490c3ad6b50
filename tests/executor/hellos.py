"""What an agent says of itself, made up."""

from typing import Any

from atex_sut_agent.protocol import Hello


def hello(**changes: Any) -> Hello:
    """The hello of an agent that nothing has been ordered of yet, with these fields changed."""
    fields = {
        "protocol": 1,
        "session": "s",
        "incarnation": "a",
        "order": 0,
        "run": None,
        "frame": 1,
        "folder": "/w",
        "archive": "/a",
        "python": "/p",
        "python_version": "3.6.8",
        "pid": 7,
        "user": "root",
        "boot_id": "boot",
    }
    return Hello(**{**fields, **changes})
