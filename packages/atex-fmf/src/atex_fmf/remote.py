"""Fetches git repositories, with the fmf library and where it caches them."""

import hashlib
import os
import subprocess

import fmf
from fmf.utils import fetch_repo, get_cache_directory, set_cache_expiration

from .node import Keys

# git asks nobody for a password, and gives up a server that sends next to nothing for a minute.
_SILENT = {
    "GIT_ASKPASS": "echo",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=60 -o ServerAliveInterval=20",
    "GIT_HTTP_LOW_SPEED_LIMIT": "100",
    "GIT_HTTP_LOW_SPEED_TIME": "60",
}


def fetch(url: str, ref: str, phase: Keys) -> str:
    """The folder where a revision of a repository is checked out; of its default branch without `ref`.

    Each repository and `ref` have a folder of their own in the library's cache (FMF_CACHE_DIRECTORY, or
    ~/.cache/fmf), which the next call brings up to date: that a branch moves while a run is under way
    harms only what has not read its files yet. Two at a time wait for each other, other programs that
    use the library included.

    Raises MetadataError, of the phase, with git's words.
    """
    key = "url" if phase.get("url") else "ref"
    for value in (url, ref):
        if value.startswith("-"):  # git would take it for an option
            raise phase.error(f"{key}: {value} is neither a repository nor a revision", key=key)
    digest = hashlib.sha256(f"{url}\n{ref}".encode()).hexdigest()[:16]
    try:
        set_cache_expiration(0)  # the library looks for news each 20 minutes, tmt each time
        folder = os.path.join(get_cache_directory(), f"atex-{digest}")
        return str(fetch_repo(url, ref or None, destination=folder, env={**_SILENT, **os.environ}))
    except (fmf.utils.GeneralError, OSError) as error:
        what = f"{url} at {ref}" if ref else url
        raise phase.error(f"{key}: {what} cannot be fetched: {_words(error)}", key=key) from error


def repository(folder: str, phase: Keys) -> str:
    """The top folder of the git repository that a folder is in. Raises MetadataError, of the phase."""
    command = ["git", "rev-parse", "--show-toplevel"]
    try:
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise phase.error(f"ref: {folder} is in no git repository", key="ref") from error
    return found.stdout.removesuffix("\n")


def _words(error: Exception) -> str:
    cause = error.__context__
    if isinstance(cause, subprocess.CalledProcessError):
        return " ".join(str(cause.output).split())
    return str(error)
