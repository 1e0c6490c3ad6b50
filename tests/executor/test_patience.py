"""When a lost connection is tried again."""

from atex_executor.patience import Patience


def tries(patience: Patience, now: float) -> list[float | None]:
    """The delays until it gives up, if each try fails at once."""
    delays: list[float | None] = []
    while not delays or delays[-1] is not None:
        delays.append(patience.next_try(now))
        now += delays[-1] or 0.0
    return delays


def test_the_first_try_comes_at_once_and_the_last_at_the_end() -> None:
    patience = Patience(100.0)
    patience.lost(1000.0)
    assert tries(patience, 1000.0) == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 9.0, None]


def test_progress_begins_anew() -> None:
    patience = Patience(10.0)
    patience.lost(0.0)
    assert tries(patience, 0.0)[-1] is None
    patience.progress()
    patience.lost(50.0)
    assert patience.next_try(50.0) == 0.0


def test_a_connection_that_was_good_for_nothing_is_the_same_loss() -> None:
    patience = Patience(10.0)
    patience.lost(0.0)
    assert [patience.next_try(0.0), patience.next_try(0.0)] == [0.0, 1.0]
    patience.lost(1.0)
    assert patience.next_try(1.0) == 2.0
    patience.lost(11.0)
    assert patience.next_try(11.0) is None


def test_without_patience_there_is_no_try() -> None:
    patience = Patience(0.0)
    patience.lost(0.0)
    assert patience.next_try(0.0) is None
