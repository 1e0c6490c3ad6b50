"""Fetches git repositories, with the fmf library and where it caches them."""

import hashlib
import os
import subprocess

import fmf
from fmf.utils import fetch_repo, get_cache_directory, set_cache_expiration

from .node import Keys


def fetch(url: str, ref: str, phase: Keys) -> str:
    """The folder where a revision of a repository is checked out; of its default branch without `ref`.

    Each repository and `ref` have a folder of their own in the library's cache (FMF_CACHE_DIRECTORY, or
    ~/.cache/fmf), which the next call brings up to date: that a branch moves while a run is under way
    harms only what has not read its files yet. Two at a time wait for each other, other programs that
    use the library included. Nobody is asked for a password.

    Raises MetadataError, of the phase, with git's words.
    """
    digest = hashlib.sha256(f"{url}\n{ref}".encode()).hexdigest()[:16]
    silent = {**os.environ, "GIT_ASKPASS": "echo", "GIT_TERMINAL_PROMPT": "0"}
    try:
        set_cache_expiration(0)  # the library looks for news each 20 minutes, tmt each time
        folder = os.path.join(get_cache_directory(), f"atex-{digest}")
        return str(fetch_repo(url, ref or None, destination=folder, env=silent))
    except (fmf.utils.GeneralError, OSError) as error:
        key = "url" if phase.get("url") else "ref"
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
