"""Secrets in what tests and phases print: stars instead of them."""

from collections.abc import Iterable

_STARS = "***"


class Mask:
    """Hides secrets. Any thread."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Hide each of `secrets`; of one with many lines, a key say, each of them."""
        lines = {line.strip() for secret in secrets for line in secret.splitlines()}
        self._secrets = sorted(filter(None, lines), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return `text` with `***` for each secret."""
        for secret in self._secrets:
            text = text.replace(secret, _STARS)
        return text

    def end_of_line(self, text: str) -> str:
        """Return the same for the end of a line that was cut anywhere, without what may begin within a secret."""
        longest = len(self._secrets[0]) if self._secrets else 0
        return self(text)[longest * len(_STARS) :]  # a letter can be a secret, and grows
