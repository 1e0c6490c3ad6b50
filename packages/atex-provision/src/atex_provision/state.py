"""Where ATEX keeps what it has to remember beyond a process, for this user."""

import os
from pathlib import Path


def state_folder() -> Path:
    """The folder `atex` in the user's state folder (XDG Base Directory Specification). It may not
    be there yet.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    # The specification wants a relative path to be ignored.
    folder = Path(state) if state.startswith("/") else Path.home() / ".local/state"
    return folder / "atex"
