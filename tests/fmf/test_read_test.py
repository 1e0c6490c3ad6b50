"""One test: its values, their defaults, and what is wrong with them."""

import pytest
from atex_fmf import MetadataError, Test, discover

from .conftest import Grow


def read(grow: Grow, metadata: str) -> Test:
    (test,) = discover(grow({"tests/smoke.fmf": metadata})).tests
    return test


def test_defaults(grow: Grow) -> None:
    assert read(grow, "test: ./run.sh") == Test(
        name="/tests/smoke",
        test="./run.sh",
        path="/tests",
        metadata={"test": "./run.sh"},
        serial=1,
    )


def test_all_of_it(grow: Grow) -> None:
    test = read(
        grow,
        """
        test: |
          one
          two
        path: /sub/folder/
        duration: 1h 30m
        environment: {TEXT: a b, NUMBER: 1, FRACTION: 1.0, SWITCH: true, EMPTY: ""}
        require: [gcc, {type: file, pattern: /data}]
        recommend: make
        tag: quick
        framework: beakerlib
        tty: true
        extra-priority: 7
        """,
    )
    assert test.test == "one\ntwo\n"
    assert test.path == "/sub/folder"
    assert (test.duration, test.duration_text) == (5400.0, "1h 30m")
    assert test.environment == {
        "TEXT": "a b",
        "NUMBER": "1",
        "FRACTION": "1.0",
        "SWITCH": "True",
        "EMPTY": "",
    }
    assert test.require == ("gcc", {"type": "file", "pattern": "/data"})
    assert test.recommend == ("make",)
    assert test.tag == ("quick",)
    assert (test.framework, test.tty) == ("beakerlib", True)
    assert test.metadata["extra-priority"] == 7


def test_path_is_where_the_last_file_lies(grow: Grow) -> None:
    root = grow(
        {
            "main.fmf": "test: 'true'",
            "here.fmf": "{}",
            "deep/er/main.fmf": "/virtual: {}",
        }
    )
    assert [(test.name, test.path) for test in discover(root).tests] == [
        ("/deep/er/virtual", "/deep/er"),
        ("/here", "/"),
    ]


def test_inherited_duration_is_multiplied(grow: Grow) -> None:
    root = grow(
        {
            "main.fmf": "test: 'true'\n/base: {duration: 10m, /slow: {duration+: ' *2'}}\n",
            "none.fmf": "duration+: ' *2'",
            "plain.fmf": "duration: 90",
        }
    )
    found = {test.name: (test.duration, test.duration_text) for test in discover(root).tests}
    assert found == {
        "/base/slow": (1200.0, "10m *2"),
        "/none": (600.0, " *2"),
        "/plain": (90.0, "90"),
    }


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ("test: [a, b]", "test must be a string, not "),
        ("test:", "test is empty"),
        ("test: ''", "test is empty"),
        ("path: tests", "path 'tests' must begin with '/'"),
        ("path: /../etc", "path '/../etc' leaves the tree"),
        ("path: 1", "path must be a string"),
        ("duration: 10w", "duration '10w' is invalid"),
        ("duration: 1.5", "duration must be a string, not 1.5"),
        ("duration: true", "duration must be a string, not True"),
        ("duration: 5m *0", "duration must be more than 0"),
        ("environment: [A]", "environment must be a mapping of names to values"),
        ("environment: {A: [1]}", "environment: the value of A must be a string"),
        ("environment: {A: null}", "environment: the value of A .* not null"),
        ('environment: {A: "a\\0b"}', "environment: the value of A"),
        ("environment: {1: a}", "environment: 1 cannot be the name"),
        ("environment: {A=B: a}", "environment: 'A=B' cannot be the name"),
        ("require: 5", "require must be a string, a mapping, or a list"),
        ("recommend: [5]", "recommend must be a string, a mapping, or a list"),
        ("require: {url: a, name: b}", "require: .* is a beakerlib library"),
        ("require: [{type: library, name: b}]", "require: .* is a beakerlib library"),
        ("recommend: [bash, library(a/b)]", "recommend: library.a/b. is a beakerlib library"),
        ("require: {type: module}", "require: type: module is not supported"),
        ("tag: [1]", "tag must be a string or a list of strings"),
        ("framework: [shell]", "framework must be a string"),
        ("tty: 'yes'", "tty must be true or false"),
    ],
)
def test_bad_values_have_test_and_place(grow: Grow, metadata: str, problem: str) -> None:
    script = "summary: s" if metadata.startswith("test:") else "test: 'true'"
    place = "/tests/smoke.fmf, line 2"
    with pytest.raises(MetadataError, match=f"^/tests/smoke: {problem}.*{place}.$"):
        read(grow, f"{script}\n{metadata}\n")


def test_a_long_value_is_cut(grow: Grow) -> None:
    with pytest.raises(MetadataError, match=r"xxx\.\.\. ") as caught:
        read(grow, f"test: ['{'x' * 5000}']")
    assert len(str(caught.value)) < 400
