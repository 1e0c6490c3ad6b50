"""The numbers of frames: what is replayed counts once, what is left out is noticed."""

import pytest
from atex_executor.errors import ProtocolBroken
from atex_executor.sequence import Sequence


def come(sequence: Sequence, *numbers: int) -> list[int]:
    """Those of the frames that are applied."""
    applied = []
    for number in numbers:
        if sequence.is_new(number):
            sequence.apply(number, settled=True)
            applied.append(number)
    return applied


def test_a_replay_counts_once() -> None:
    sequence = Sequence(1)
    assert come(sequence, 1, 2, 3) == [1, 2, 3]
    sequence.attached()
    assert come(sequence, 2, 3, 4) == [4]
    sequence.attached()
    assert come(sequence, 1, 5, 6) == [5, 6]  # the rest was acknowledged while it was replayed


@pytest.mark.parametrize("numbers", [(2,), (1, 1), (1, 3), (1, 2, 1)])
def test_what_is_out_of_turn_is_noticed(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ProtocolBroken, match="came where"):
        come(Sequence(1), *numbers)


def test_what_another_process_acknowledged_need_not_come() -> None:
    assert come(Sequence(5), 5, 6) == [5, 6]
    assert come(Sequence(5), 3, 4, 5) == [3, 4, 5]
    with pytest.raises(ProtocolBroken):
        come(Sequence(5), 6)


def test_what_is_acknowledged() -> None:
    sequence = Sequence(1)
    assert not sequence.owes
    sequence.apply(1, settled=True)
    sequence.apply(2, settled=False)
    assert sequence.owes
    assert sequence.acknowledge() == 1
    assert not sequence.owes
    sequence.settle()
    assert sequence.acknowledge() == 2
    sequence.forget_acknowledged()
    assert sequence.owes
