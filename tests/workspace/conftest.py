"""A pytest inside a test, with plugins of this repository."""

from collections.abc import Callable
from pathlib import Path

import pytest

InnerPytest = Callable[..., pytest.RunResult]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def inner_pytest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> InnerPytest:
    """Runs a pytest with the given plugins over a file of the given source; more arguments go to its command line."""
    monkeypatch.delenv("CI", raising=False)

    def run(source: str, *arguments: str, plugins: list[str]) -> pytest.RunResult:
        pytester.makeini(f"[pytest]\npythonpath = '{ROOT}'\nfilterwarnings = error\n")
        pytester.makeconftest(f"pytest_plugins = {plugins}")
        pytester.makepyfile(test_inner=source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments, timeout=60)

    return run
