"""How a suite is subclassed: what is collected, and what a backend says it cannot do."""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, TypeVar

import pytest

from atex_provision.testing.traces import nothing_left

Test = TypeVar("Test", bound=Callable[..., None])


def able_to(point: str) -> Callable[[Test], Test]:
    """Decorates a test that a backend leaves out by naming `point` in `cannot`."""

    def mark(test: Test) -> Test:
        test.__dict__["point"] = point
        return test

    return mark


class Suite:
    """Tests that a subclass inherits.

    Subclasses are collected whatever their name, also where `python_classes` says otherwise; a
    suite itself is not, though a test module imports it. A subclass that only others shall
    subclass writes `__test__ = False`.
    """

    __test__ = False

    points: ClassVar[frozenset[str]] = frozenset()
    """What a backend of this kind need not be able to do."""
    cannot: ClassVar[Mapping[str, str]] = {}
    """Of `points` what this one cannot do, each with the reason. Its tests are not collected."""

    def __init_subclass__(cls) -> None:
        """Raises TypeError if `cannot` names what is none of the `points`."""
        super().__init_subclass__()
        if "__test__" not in cls.__dict__:
            cls.__test__ = True
        if unknown := cls.cannot.keys() - cls.points:
            raise TypeError(
                f"{cls.__name__}.cannot: no such point: {', '.join(sorted(unknown))}"
                f" (there are: {', '.join(sorted(cls.points))})"
            )
        for name in dir(cls):
            if getattr(getattr(cls, name), "point", None) in cls.cannot:
                setattr(cls, name, None)  # which pytest takes for no test

    @pytest.fixture(autouse=True)
    def _nothing_left(self) -> Iterator[None]:
        """Each test ends with the threads and descriptors that it began with."""
        with nothing_left():
            yield


def to_be_written(suite: Suite, fixture: str, says: str) -> NotImplementedError:
    """The error for a subclass without one of the fixtures that it has to write."""
    return NotImplementedError(f"{type(suite).__name__} needs a fixture `{fixture}`: {says}")
