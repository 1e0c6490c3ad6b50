"""What a machine says about itself, against what its platform stands for."""

import pytest
from atex_orchestrator.differences import Differences, contradicts
from atex_orchestrator.events import MachineReserved
from atex_provision import Facts, Platform


def reserved(machine: str, platform: str = "p", **facts: str) -> MachineReserved:
    return MachineReserved(worker=1, platform=platform, machine=machine, facts=Facts(**facts))  # type: ignore[arg-type]


def reasons(context: dict[str, tuple[str, ...]], *events: MachineReserved) -> list[str]:
    differences = Differences([Platform("p", context), Platform("q", context)])
    return [found.reason for event in events for found in differences.of(event)]


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ("fedora-42", "fedora-42"),
        ("fedora-42", "fedora"),
        ("fedora-43", "fedora-rawhide"),
        ("rhel-9.6", "rhel-9"),
        ("rhel-9", "rhel-9.6"),
        ("centos-stream-10", "centos-stream-10"),
        ("x86_64", "x86_64"),
    ],
)
def test_what_fits(known: str, said: str) -> None:
    assert not contradicts(known, [said])
    assert not contradicts(known, ["something-else", said])


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ("fedora-41", "fedora-42"),
        ("debian-12", "fedora-rawhide"),
        ("rhel-9.6", "rhel-9.5"),
        ("rhel-10.1", "rhel-9"),
        ("centos-stream-10", "centos-stream-9"),
        ("aarch64", "x86_64"),
    ],
)
def test_what_does_not(known: str, said: str) -> None:
    assert contradicts(known, [said])
    assert not contradicts(known, [])


def test_it_is_told_once_of_a_platform() -> None:
    first, again = reserved("a", distro="debian-12"), reserved("b", distro="debian-12")
    other = reserved("c", platform="q", distro="debian-12")
    said = reasons({"distro": ("fedora-42",)}, first, again, other)
    assert said == [
        "a: its distro is debian-12, and tests of platform p were chosen for distro=fedora-42",
        "c: its distro is debian-12, and tests of platform q were chosen for distro=fedora-42",
    ]


def test_each_difference_is_told() -> None:
    context = {
        "distro": ("fedora-42", "fedora-43"),
        "arch": ("aarch64",),
        "trigger": ("commit",),
    }
    said = reasons(context, reserved("a", distro="debian-12", arch="x86_64"))
    assert [line.rpartition(" ")[2] for line in said] == [
        "distro=fedora-42,fedora-43",
        "arch=aarch64",
    ]


def test_what_is_not_known_contradicts_nothing() -> None:
    assert reasons({"distro": ("fedora-42",), "arch": ("x86_64",)}, reserved("a")) == []
    assert reasons({}, reserved("a", distro="debian-12")) == []
