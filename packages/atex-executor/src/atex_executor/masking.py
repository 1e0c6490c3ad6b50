"""Secrets in what tests and phases print: stars instead of them."""

from collections.abc import Iterable


class Mask:
    """Hides secrets. Any thread."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Hide each of `secrets`; of one with many lines, a key say, each of them."""
        lines = {line.strip() for secret in secrets for line in secret.splitlines()}
        self._secrets = sorted(filter(None, lines), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return `text` with `***` for each secret."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text
