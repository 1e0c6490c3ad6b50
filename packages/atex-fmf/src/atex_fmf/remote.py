"""Fetches git repositories, with the fmf library and where it caches them."""

import hashlib
import os
import subprocess

import fmf
from filelock import FileLock
from fmf.utils import (
    FETCH_LOCK_TIMEOUT,
    LOCK_SUFFIX_FETCH,
    fetch_repo,
    get_cache_directory,
)

from .node import Keys

# git asks nobody for a password, and gives up a server that sends next to nothing for a minute.
_SILENT = {
    "GIT_ASKPASS": "echo",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=60 -o ServerAliveInterval=20",
    "GIT_HTTP_LOW_SPEED_LIMIT": "100",
    "GIT_HTTP_LOW_SPEED_TIME": "60",
}
_BRANCHES = ("+refs/heads/*:refs/heads/*", "+refs/heads/*:refs/remotes/origin/*")
_TAGS = "+refs/tags/*:refs/tags/*"


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
        folder = os.path.join(get_cache_directory(), f"atex-{digest}")
        with FileLock(f"{folder}{LOCK_SUFFIX_FETCH}", timeout=FETCH_LOCK_TIMEOUT):
            _renew(folder, ref)
        return str(fetch_repo(url, ref or None, destination=folder, env=_environment()))
    except (fmf.utils.GeneralError, OSError, subprocess.CalledProcessError) as error:
        what = f"{url} at {ref}" if ref else url
        raise phase.error(f"{key}: {what} cannot be fetched: {_words(error)}", key=key) from error


def _renew(folder: str, ref: str) -> None:
    """Gives a clone, where there is one, the branches and tags that the repository has now.

    The library keeps branches that are gone, tags that moved and the default branch of old, looks for
    news every 20 minutes, and lets git ask for a password then.
    """
    if not os.path.isdir(os.path.join(folder, ".git")):
        return
    shallow = os.path.exists(os.path.join(folder, ".git/shallow"))  # was cloned without a ref
    news = ["--depth=1", "origin", *_BRANCHES] if shallow else ["origin", *_BRANCHES, _TAGS]
    _git(folder, "fetch", "--prune", "--force", "--update-head-ok", *news)
    if not ref:
        _git(folder, "remote", "set-head", "origin", "--auto")


def _git(folder: str, *arguments: str) -> None:
    subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=True,
    )


def _environment() -> dict[str, str]:
    return {**_SILENT, **os.environ}


def repository(folder: str, phase: Keys) -> str:
    """The top folder of the git repository that a folder is in. Raises MetadataError, of the phase."""
    command = ["git", "rev-parse", "--show-toplevel"]
    try:
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise phase.error(f"ref: {folder} is in no git repository", key="ref") from error
    return found.stdout.removesuffix("\n")


def _words(error: Exception) -> str:
    cause = error if isinstance(error, subprocess.CalledProcessError) else error.__context__
    if isinstance(cause, subprocess.CalledProcessError):
        return " ".join(str(cause.output).split())
    return str(error)
