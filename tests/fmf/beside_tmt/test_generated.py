"""Whatever the tree and the plan: what tmt selects ATEX selects, and what tmt refuses ATEX refuses."""

import tempfile
from pathlib import Path

import pytest
from atex_fmf import FmfError
from hypothesis import given, settings

from tests.fmf.beside_tmt.comparison import Context, Tmt, TmtRefuses, atex_selects
from tests.fmf.beside_tmt.conftest import assert_equal
from tests.fmf.beside_tmt.generated import CONTEXTS, trees
from tests.fmf.conftest import write_tree

EXAMPLES = 50


@settings(max_examples=EXAMPLES)
@given(files=trees(), context=CONTEXTS)
def test_generated_trees(tmt: Tmt, files: dict[str, str], context: Context) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = write_tree(Path(folder), files)
        try:
            expected = tmt.selects(tree, "/plan", context)
        except TmtRefuses:
            with pytest.raises(FmfError):
                atex_selects(tree, "/plan", context)
        else:
            assert_equal(atex_selects(tree, "/plan", context), expected)
