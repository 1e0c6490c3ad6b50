"""Suites that are built by hand."""

from typing import Any

import msgspec
import pytest
from atex_fmf import FmfError, MetadataError, Phase, Plan, Suite, Test
from hypothesis import given
from hypothesis import strategies as st


def test_a_name_and_a_script_are_enough() -> None:
    test = Test(name="/smoke", test="true")
    assert (test.path, test.duration, test.duration_text) == ("/", 300.0, "5m")
    assert Suite(root="/srv", tests=(test,)).plan == Plan()


def test_serials_are_positions() -> None:
    test = Test(name="/smoke", test="true")
    suite = Suite(root="/srv", tests=(test, Test(name="/late", test="true", serial=7), test))
    assert [(test.name, test.serial) for test in suite.tests] == [
        ("/smoke", 1),
        ("/late", 7),
        ("/smoke", 3),
    ]


@pytest.mark.parametrize(("first", "second"), [(4, 4), (2, 0)])
def test_a_serial_belongs_to_one_test(first: int, second: int) -> None:
    with pytest.raises(MetadataError, match=r"serial [24]: /a and /b"):
        Suite(
            root="/srv",
            tests=(
                Test(name="/a", test="true", serial=first),
                Test(name="/b", test="true", serial=second),
            ),
        )


def test_the_same_test_twice_with_one_serial() -> None:
    test = Test(name="/a", test="true", serial=4)
    with pytest.raises(MetadataError, match="serial 4"):
        Suite(root="/srv", tests=(test, test))


def test_root_is_absolute() -> None:
    with pytest.raises(MetadataError, match="absolute"):
        Suite(root="srv", tests=())


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"name": "smoke"}, "name of a test begins with '/'"),
        ({"path": "tests"}, "path 'tests' must begin with '/'"),
        ({"path": "/tests/../../etc"}, "leaves the tree"),
        ({"duration": 0.0}, "duration must be more than 0"),
        ({"duration": float("inf")}, "duration must be more than 0"),
        ({"serial": -1}, "serial must not be negative"),
    ],
)
def test_values_without_meaning(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(MetadataError, match=problem) as caught:
        Test(**{"name": "/smoke", "test": "true", **wrong})
    assert isinstance(caught.value, FmfError)
    assert str(caught.value).startswith(wrong.get("name", "/smoke"))


@pytest.mark.parametrize(
    ("path", "plain"),
    [("/", "/"), ("//a//b/", "/a/b"), ("/a/./b/../c", "/a/c"), ("/a/..", "/")],
)
def test_path_is_made_plain(path: str, plain: str) -> None:
    assert Test(name="/smoke", test="true", path=path).path == plain


@given(st.text("/.a", max_size=12))
def test_no_path_leaves_the_tree(path: str) -> None:
    try:
        plain = Test(name="/smoke", test="true", path=path).path
    except MetadataError:
        return
    assert plain.startswith("/")
    assert not {"..", "."} & set(plain.split("/"))


@pytest.mark.parametrize(("seconds", "text"), [(0.5, "0.5s"), (10.0, "10s"), (1e6, "1000000s")])
def test_duration_has_a_text(seconds: float, text: str) -> None:
    assert Test(name="/smoke", test="true", duration=seconds).duration_text == text


def test_survives_json() -> None:
    suite = Suite(
        root="/srv",
        tests=(Test(name="/smoke", test="true", require=("bash", {"type": "file"})),),
        plan=Plan(name="/plan", prepare=(Phase(name="one", how="shell", script=("true",)),)),
    )
    assert msgspec.json.decode(msgspec.json.encode(suite), type=Suite) == suite
