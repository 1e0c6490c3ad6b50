"""The marker `nightly`: too slow for each change. Such tests run only where asked for by `-m nightly`."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "nightly: runs only with -m nightly (.ci/nightly does)")
    if not config.option.markexpr:
        config.option.markexpr = "not nightly"
