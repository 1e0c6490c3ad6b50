"""Packages that tests require, by `atex run` on a machine with a repository."""

import pytest

from tests.cli.command import Atex
from tests.machines import LightHost


@pytest.fixture
def pool(dnf_host: LightHost) -> list[object]:
    return ["--on", f"ssh:root@{dnf_host.address}", "--identity", dnf_host.identity]


def test_one_bad_package_costs_the_tests_that_need_it(
    atex: Atex, pool: list[object], dnf_host: LightHost
) -> None:
    atex.write("a.fmf", "test: rpm -q one\nrequire: [one]\n")
    atex.write("b.fmf", "test: 'true'\nrequire: [one, no-such-package]\n")
    atex.write("c.fmf", "test: 'true'\nrequire: [no-such-package]\n")
    atex.write("d.fmf", "test: rpm -q two\nrequire: [two]\n")
    ended = atex.run(*pool, "--infra-retries", "0")
    assert ended.code == 75, ended
    finals = atex.finals()
    statuses = [finals[name]["status"] for name in ("/a", "/b", "/c", "/d")]
    assert statuses == ["pass", "infra", "infra", "pass"]
    for name in ("/b", "/c"):
        assert "no-such-package" in finals[name]["note"]
        assert not finals[name].get("started")
        [output] = finals[name]["files"]
        assert "no-such-package" in (atex.results / "files" / output).read_text()
        assert f"  {atex.results}/files/{output}" in ended.lines

    machine = f"root@{dnf_host.address}"
    first, *others, path = ended.err.splitlines()
    assert first == (
        f"atex: {machine}: prepare phase 'require' failed: exit code 1;"
        " the packages of each test are tried before it"
    )
    assert any("no-such-package" in line for line in others)
    assert path == f"  {atex.results}/files/ssh/@prepare.{machine}/require.txt"
    assert "4 tests: 2 infra, 2 pass" in ended.lines
    assert "takes no more tests" not in ended.err


def test_what_can_be_installed_is_not_worth_a_word(atex: Atex, pool: list[object]) -> None:
    atex.write("a.fmf", "test: rpm -q one three\nrequire: [one]\nrecommend: [three, no-such-one]\n")
    ended = atex.run(*pool)
    assert (ended.code, ended.err) == (0, ""), ended
