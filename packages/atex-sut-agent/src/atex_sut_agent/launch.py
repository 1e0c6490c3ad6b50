"""Shell commands that make a machine run the agent. Strings only: who has a connection runs them.

What the host does with the channel of `attach_command` is told in docs/protocol.md, "Attaching".
"""

import base64
import shlex
import zlib
from importlib import resources

import msgspec

from atex_sut_agent.archive import Archive
from atex_sut_agent.protocol import Hello, Settings
from atex_sut_agent.sut.bootstrap import BOOT_MAGIC

__all__ = ["BOOT_MAGIC", "attach_command", "unpack_command"]

_PYTHONS = ("python3", "/usr/libexec/platform-python", "/usr/bin/python3.[0-9]*")

# Python 2 refuses the syntax, which is as good as a no. The answer is the interpreter itself, not a wrapper of it.
_PROBE = "import sys; sys.version_info >= (3, 6) or sys.exit(1); print(sys.executable)"

_SCRIPT = """\
for p in {pythons}; do \
x=$("$p" -ISc "{probe}" 2>/dev/null </dev/null) && [ -n "$x" ] && exec "$x" -ISc "{program}" {arguments}; \
done; printf '%s\\n' {complaint} >&2; exit 127"""


# Who may only run this as root when asked for a password gets sudo's own words on stderr. HOME becomes root's.
_SUDO = "sudo -n -H "


def attach_command(
    archive: Archive,
    session: str,
    *,
    python: str | None = None,
    work: str | None = None,
    settings: Settings | None = None,
    become: bool = False,
) -> str:
    """Return the command that attaches its stdin and stdout to the agent of `session` (32 hexadecimal digits).

    It starts the agent where there is none, with these settings, and asks for `archive` where the machine has not got
    it. `python` is the only interpreter to be tried, `work` the only work folder (absolute); else the usual ones are
    looked at. With `become` all of it runs as root, by a sudo that asks for no password; later attachments of the
    session have to say the same.
    """
    # Base64, so that no login shell, csh and fish among them, finds anything to expand in it.
    source = _base64(zlib.compress(_bootstrap_source(), 9))
    program = f"import binascii, zlib; exec(zlib.decompress(binascii.a2b_base64('{source}'))); boot(*sys.argv[1:])"
    looked_at = python or ", ".join(_PYTHONS)
    script = _SCRIPT.format(
        pythons=shlex.quote(python) if python else " ".join(_PYTHONS),
        probe=_PROBE,
        program=program,
        arguments=shlex.join(
            [
                session,
                archive.digest,
                str(len(archive.data)),
                work or "",
                _base64(msgspec.json.encode(settings or Settings())),
            ]
        ),
        complaint=shlex.quote(f"no python3 >= 3.6 on this machine, looked at: {looked_at}"),
    )
    return f"exec {_SUDO * become}/bin/sh -c {shlex.quote(script)}"


def unpack_command(hello: Hello, become: bool = False) -> str:
    """Return the command that unpacks the trees of a session, from a pack that the machine keeps or is sent.

    What it says and wants to hear is told in docs/protocol.md, "The trees"; `sut/packing.py` has the format. It says
    "ok" and exits with 0 when all are there, `tree` in the session's folder being the suite's own; a reason on stderr
    and another exit code else, and then there is none. `become` as the session was attached.
    """
    command = shlex.join([hello.python, "-IS", hello.archive, "unpack", hello.folder])
    return f"exec {_SUDO * become}{command}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bootstrap_source() -> bytes:
    return (resources.files("atex_sut_agent.sut") / "bootstrap.py").read_bytes()
