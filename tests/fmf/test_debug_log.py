"""The fmf library's debug log has what it always had, though its formatting is put off."""

import logging
from pathlib import Path
from pprint import pformat

import fmf
import pytest
from atex_fmf import discover

from .conftest import Grow

DATA = {"test": "run", "environment": {"A": "1"}, "require": [{"type": "file"}] * 20}


@pytest.fixture
def tree(grow: Grow) -> Path:
    root = grow({"a.fmf": f"{DATA}\n"})
    assert discover(root).tests  # which puts it off
    return root


def test_what_is_logged(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(fmf.utils.LOG_DATA, logger="fmf"):
        fmf.Tree(str(tree))
    assert pformat(DATA) in caplog.messages


def test_nothing_is_formatted_where_nobody_reads_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("atex_fmf.debug_log.pformat", lambda value: pytest.fail("formatted"))
    with caplog.at_level(logging.WARNING, logger="fmf"):
        assert discover(tree).tests


def test_what_is_shown(tree: Path) -> None:
    shown = fmf.Tree(str(tree)).find("/a").show()
    assert pformat(DATA["require"]) in shown
