"""What a machine says about itself."""

import os

import pytest
from atex_provision import Completed, Connection, Facts, local_platform
from atex_provision.facts import distro, read_facts


def test_a_real_machine(connection: Connection) -> None:
    facts = read_facts(connection)
    assert facts.arch == os.uname().machine
    assert facts.kernel == os.uname().release
    assert facts.cores == os.sysconf("SC_NPROCESSORS_ONLN")
    assert facts.memory is not None
    assert facts.memory > 1 << 20
    assert (facts.distro,) == local_platform().context.get("distro", (None,))


def test_this_machine_as_a_platform() -> None:
    platform = local_platform()
    assert platform.name == "local"
    assert platform.context["arch"] == (os.uname().machine,)


@pytest.mark.parametrize(
    ("os_release", "expected"),
    [
        ({"ID": "fedora", "VERSION_ID": "42", "NAME": "Fedora Linux"}, "fedora-42"),
        ({"ID": "rhel", "VERSION_ID": "9.6"}, "rhel-9.6"),
        ({"ID": "centos", "VERSION_ID": "10", "NAME": "CentOS Stream"}, "centos-stream-10"),
        ({"ID": "centos", "VERSION_ID": "7", "NAME": "CentOS Linux"}, "centos-7"),
        ({"ID": "debian", "VERSION_ID": "12"}, "debian-12"),
        ({"ID": "arch"}, "arch"),
        ({}, None),
    ],
)
def test_distributions(os_release: dict[str, str], expected: str | None) -> None:
    assert distro(os_release) == expected


def test_noise_and_silence_are_no_error(
    monkeypatch: pytest.MonkeyPatch, connection: Connection
) -> None:
    noise = b"Welcome! Your=quota is \"low\natex-cores=many\natex-memory=\nID='fedora'\n\xff=\xff\n"
    said = Completed(exit_code=1, stdout=noise, stderr=b"")
    monkeypatch.setattr(connection, "run", lambda *_args, **_options: said)
    assert read_facts(connection) == Facts(distro="fedora")


def test_a_machine_that_boasts_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, connection: Connection
) -> None:
    boast = b"atex-cores=" + b"9" * 5000 + b"\natex-memory=" + b"9" * 5000 + b"\n"
    said = Completed(exit_code=0, stdout=boast, stderr=b"")
    monkeypatch.setattr(connection, "run", lambda *_args, **_options: said)
    assert read_facts(connection) == Facts()
