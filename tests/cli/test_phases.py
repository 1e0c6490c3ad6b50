"""A plan with several phases, of this tree and another one, is run as it was discovered."""

from tests.cli.command import Atex
from tests.fmf.repository import git, make_repository, write

PLAN = """
discover:
  - how: fmf
    name: own
  - how: fmf
    name: far/away
    url: REMOTE
    path: /deep/er
  - name: inline
    tests:
      - {name: refers, test: 'test $NUMBER = 5 -a "$FILED" = yes'}
      - {name: reads, test: grep -q . deep/er/x/data.txt}
    url: REMOTE
  - how: git
    when: distro == rhel
environment-file: [variables.env]
prepare:
  - script: 'echo $$ >nothing-else-$@distro'
    when: distro == fedora
  - how: ansible
    when: distro == rhel
"""


def test_phases(atex: Atex) -> None:
    remote = atex.folder / "remote"
    make_repository(remote)
    write(remote, {"deep/er/x/main.fmf": "test: grep -q far data.txt", "deep/er/x/data.txt": "far"})
    git(remote, "add", ".")
    git(remote, "commit", "--message=three")
    atex.write("plan.fmf", PLAN.replace("REMOTE", str(remote)))
    atex.write("variables.env", "FILED=yes\n")
    atex.write("here.fmf", "test: test -e nothing-else-fedora\nframework: shell\n")
    ended = atex.run("--on", "local", "-c", "distro=fedora", "-e", "NUMBER=5")
    assert ended.code == 0, ended
    assert {name: record["status"] for name, record in atex.finals().items()} == {
        "/own/here": "pass",
        "/far/away/x": "pass",
        "/inline/refers": "pass",
        "/inline/reads": "pass",
    }
