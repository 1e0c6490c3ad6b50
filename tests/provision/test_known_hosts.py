"""The files of known hosts."""

import base64
import subprocess
from pathlib import Path

import pytest
from atex_provision.ssh.known_hosts import host_id, known_keys, own_file, remember

from tests.waits import Background

KEY = b"a key"
CODED = base64.b64encode(KEY).decode()


def known(text: str, host: str, folder: Path) -> list[tuple[int, bool]]:
    path = folder / "known_hosts"
    path.write_text(text)
    return [(key.line, key.revoked) for key in known_keys(host, [path])]


@pytest.mark.parametrize(
    ("names", "host", "is_known"),
    [
        ("box", "box", True),
        ("box", "boxer", False),
        ("other,BOX", "box", True),
        ("*.lab,!bad.lab", "good.lab", True),
        ("*.lab,!bad.lab", "bad.lab", False),
        ("10.0.0.?", "10.0.0.7", True),
        ("[box]:2222", "[box]:2222", True),
        ("[box]:2222", "box", False),
        ("box", "[box]:2222", False),
        ("[*.lab]:*", "[a.lab]:22022", True),
    ],
)
def test_names_and_patterns(names: str, host: str, is_known: bool, tmp_path: Path) -> None:
    assert bool(known(f"{names} ssh-ed25519 {CODED} comment\n", host, tmp_path)) == is_known


@pytest.mark.needs("ssh-keygen")
def test_hashed_names(tmp_path: Path) -> None:
    """As ssh-keygen makes them, whose word counts."""
    path = tmp_path / "known_hosts"
    path.write_text(
        "box ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM0eALipDSiTkr6eYgyRXwt2+bX8jWRMOtZYgxBNuCvX\n"
    )
    subprocess.run(["ssh-keygen", "-H", "-f", path], check=True, capture_output=True)
    assert path.read_text().startswith("|1|")
    assert len(known_keys("box", [path])) == 1
    assert known_keys("bix", [path]) == []


def test_other_lines_are_passed_over(tmp_path: Path) -> None:
    lines = [
        "# box ssh-ed25519 AAAA",
        "",
        "box",
        f"@cert-authority box ssh-ed25519 {CODED}",
        "box ssh-ed25519 not-base64!",
        f"|1|nonsense ssh-ed25519 {CODED}",
        f"@revoked box ssh-ed25519 {CODED}",
        f"box ssh-ed25519 {CODED}",
    ]
    assert known("\n".join(lines), "box", tmp_path) == [(7, True), (8, False)]


def test_the_name_of_a_host() -> None:
    assert host_id("Box.LAB", 22) == "box.lab"
    assert host_id("::1", 2222) == "[::1]:2222"


def test_the_own_file_follows_xdg(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_file() == home / ".local/state/atex/known_hosts"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert own_file() == home / ".local/state/atex/known_hosts"
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert own_file() == Path("/state/atex/known_hosts")


def test_a_host_is_remembered_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "known_hosts"
    assert remember("box", "ssh-ed25519", KEY, path) == []
    assert [key.key for key in remember("box", "ssh-ed25519", b"another", path)] == [KEY]
    assert path.read_text() == f"box ssh-ed25519 {CODED}\n"
    assert path.stat().st_mode & 0o077 == 0


def test_a_torn_last_line_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("bix ssh-ed25519 AA")
    remember("box", "ssh-ed25519", KEY, path)
    assert [key.line for key in known_keys("box", [path])] == [2]


def test_many_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"

    def meet(number: int) -> bytes:
        mine = f"key {number}".encode()
        known = remember("box", "ssh-ed25519", mine, path)
        return known[0].key if known else mine

    threads = [Background(lambda n=n: meet(n)) for n in range(16)]  # type: ignore[misc]
    assert len({thread.result() for thread in threads}) == 1
    assert len(path.read_text().splitlines()) == 1
