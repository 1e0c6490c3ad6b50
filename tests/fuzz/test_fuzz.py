"""The fuzz targets without a fuzzer: each takes its seeds, cut into pieces in many ways, and what was once found."""

from types import ModuleType

import pytest

from tests.fuzz import control_parser, frame_decoder


@pytest.mark.parametrize("target", [control_parser, frame_decoder])
def test_seeds(target: ModuleType) -> None:
    for first in range(0, 256, 5):
        for seed in target.seeds():
            target.fuzz(bytes([first]) + seed[1:])
