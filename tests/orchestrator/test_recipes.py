"""What docs/orchestrating.md shows, with its very words: each recipe runs on machines, and does what the page says."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import atex_orchestrator.events
import pytest
from atex_fmf import Suite, Test, discover
from atex_orchestrator import Orchestrator
from atex_orchestrator.events import Event, TestFinished, TestStarted
from atex_orchestrator.results import read_events, read_finals
from atex_provision import HostPool, LocalProvisioner

from tests.machines import LightHost
from tests.machines.login import host_of
from tests.orchestrator.provisioners import Fresh, Refusing

PAGE = Path(__file__).parents[2] / "docs" / "orchestrating.md"

pytestmark = pytest.mark.usefixtures("own_home")  # how long tests took is not remembered


def blocks() -> dict[str, list[str]]:
    """The Python on the page, by the first word of the heading above it."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^#+ (?=\w)", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        word = re.match(r"\w+", section)
        assert word
        if code := re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE):
            found[word[0]] = code
    return found


def run_block(heading: str, number: int = 0, **names: Any) -> dict[str, Any]:
    """Run a block after the imports that the page shows, with further names; return all names afterwards."""
    space: dict[str, Any] = {"__name__": "recipe"}
    exec(blocks()["Hooks"][0], space)
    space.update(names)
    exec(blocks()[heading][number], space)
    return space


def recipe(heading: str) -> type[Orchestrator]:
    """The class that the block below this heading defines."""
    space = run_block(heading)
    [found] = [
        thing
        for thing in space.values()
        if isinstance(thing, type)
        and issubclass(thing, Orchestrator)
        and thing.__module__ == "recipe"
    ]
    return found


def suite_of(folder: Path, *tests: Test) -> Suite:
    (folder / "tree").mkdir(exist_ok=True)
    return Suite(root=str(folder / "tree"), tests=tests)


def finals(folder: Path) -> list[tuple[str, int, str]]:
    return [(record.test, record.attempt, record.status) for record in read_finals(folder / "run")]


def test_every_block_of_the_page_is_run() -> None:
    hooks = {name for name in vars(Orchestrator) if name in blocks()}
    assert blocks().keys() == {
        *("Orchestrating", "Hooks", "Tests", "Events", "Aborting"),
        *("applicable", "fitness", "next_test", "should_rerun"),
        *("destructive", "run_test", "output_result"),
    }, hooks
    counts = {heading: len(code) for heading, code in blocks().items() if len(code) > 1}
    assert counts == {"Events": 2}


def test_applicable(tmp_path: Path) -> None:
    orchestrator = recipe("applicable")(tmp_path / "run")
    large = Test(name="/large", test="true", metadata={"extra-memory": 10**6})
    orchestrator.add_platform("p", suite_of(tmp_path, large, Test(name="/small", test="true")))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    summary = orchestrator.run()
    assert summary.counts == {"pass": 1, "infra": 1}
    assert [record.test for record in summary.infra] == ["/large"]
    assert summary.infra[0].machine is None


def test_fitness(tmp_path: Path, light_hosts: Callable[[int], list[LightHost]]) -> None:
    """The founding example: what a test marked decides which tests its machine takes."""
    hosts = light_hosts(2)
    wait = "until [ -e /root/go ]; do sleep 0.05; done"

    def listen(event: Event) -> None:
        """The machine without the snapshot is busy until the other one has run what was tagged for it."""
        if isinstance(event, TestFinished) and event.test == "/snap2":
            for host in hosts:
                (host.folder / "root/go").touch()

    orchestrator = recipe("fitness")(tmp_path / "run", order="plan")
    orchestrator.subscribe(listen)
    snapshot = ("snapshot",)
    orchestrator.add_platform(
        "p",
        suite_of(
            tmp_path,
            Test(name="/setup", test="atex-control mark snapshot"),
            Test(name="/plain1", test=wait, duration=60),
            Test(name="/plain2", test=wait, duration=60),
            Test(name="/snap1", test="true", tag=snapshot),
            Test(name="/snap2", test="true", tag=snapshot),
        ),
    )
    pool = HostPool([host_of(host) for host in hosts])
    orchestrator.add_provisioner(pool.provisioner, platform="p", max_workers=2)
    assert orchestrator.run().counts == {"pass": 5}
    started = [event for event in read_events(tmp_path / "run") if isinstance(event, TestStarted)]
    marked = next(event.machine for event in started if event.test == "/setup")
    there = [event.test for event in started if event.machine == marked]
    assert there[:3] == ["/setup", "/snap1", "/snap2"]


def test_next_test(tmp_path: Path) -> None:
    orchestrator = recipe("next_test")(tmp_path / "run", order="plan")
    for folder in ("a", "b"):
        (tmp_path / "tree" / folder).mkdir(parents=True)
    tests = [
        Test(name=f"/{n}", test="true", path=path) for n, path in enumerate(("/a", "/b", "/a"))
    ]
    orchestrator.add_platform("p", suite_of(tmp_path, *tests))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    orchestrator.run()
    assert finals(tmp_path) == [("/0", 1, "pass"), ("/2", 1, "pass"), ("/1", 1, "pass")]


def test_should_rerun(tmp_path: Path) -> None:
    orchestrator = recipe("should_rerun")(tmp_path / "run", order="plan")
    flaky = 'case "$TMT_TEST_ITERATION_ID" in *.1) exit 75; esac'
    scripts = {"/flaky": flaky, "/tired": "exit 75", "/wrong": "exit 1"}
    tests = [Test(name=name, test=script) for name, script in scripts.items()]
    orchestrator.add_platform("p", suite_of(tmp_path, *tests))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    assert orchestrator.run().counts == {"pass": 1, "fail": 2}
    assert sorted(finals(tmp_path)) == [
        ("/flaky", 1, "fail"),
        ("/flaky", 2, "pass"),
        *(("/tired", attempt, "fail") for attempt in (1, 2, 3)),
        ("/wrong", 1, "fail"),
    ]


def test_destructive(tmp_path: Path) -> None:
    orchestrator = recipe("destructive")(tmp_path / "run", order="plan")
    tests = [
        Test(name="/clean", test="true"),
        Test(name="/dirty", test="atex-control mark dirty"),
        Test(name="/tagged", test="true", tag=("destructive",)),
        Test(name="/last", test="true"),
    ]
    orchestrator.add_platform("p", suite_of(tmp_path, *tests))
    orchestrator.add_provisioner(Fresh, platform="p")
    assert orchestrator.run().counts == {"pass": 4}
    one, same, other, third = (record.machine for record in read_finals(tmp_path / "run"))
    assert one == same
    assert len({one, other, third}) == 3


def test_run_test(tmp_path: Path, light_host: LightHost) -> None:
    orchestrator = recipe("run_test")(tmp_path / "run")
    script = "mkdir /var/tmp/scratch"  # fails where it is there
    tests = [Test(name=f"/{n}", test=script) for n in range(2)]
    orchestrator.add_platform("p", suite_of(tmp_path, *tests))
    orchestrator.add_provisioner(HostPool([host_of(light_host)]).provisioner, platform="p")
    assert orchestrator.run().counts == {"pass": 2}


def test_output_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    orchestrator = recipe("output_result")(tmp_path / "run", reruns=1)
    for platform, factory in (("p", LocalProvisioner), ("q", Refusing)):
        orchestrator.add_platform(platform, suite_of(tmp_path, Test(name="/a", test="false")))
        orchestrator.add_provisioner(factory, platform=platform)
    orchestrator.run()
    lines = (tmp_path / "verdicts.txt").read_text().splitlines()
    assert Counter(lines) == {"fail local /a": 2, "infra None /a": 1}


def test_tests_for_any_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tree = tmp_path / "mytests"
    (tree / ".fmf").mkdir(parents=True)
    (tree / ".fmf/version").write_text("1\n")
    (tree / "main.fmf").write_text(
        "/every: {test: 'true'}\n/tools/one: {test: 'true'}\n/tools/two: {test: 'false'}\n"
        "/adjusted: {test: 'true', adjust: [{when: distro == debian, enabled: false}]}\n"
    )
    orchestrator = Orchestrator(tmp_path / "run")
    run_block("Tests", orchestrator=orchestrator, discover=discover)
    for platform in ("fedora", "debian"):
        orchestrator.add_provisioner(LocalProvisioner, platform=platform)
    summary = orchestrator.run()
    assert sorted(summary.info.anywhere.values()) == ["/tools/one", "/tools/two"]
    assert summary.tests == 4 + 3 + 2


def test_a_listener(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orchestrator = Orchestrator(tmp_path / "run")
    run_block("Events", orchestrator=orchestrator, **vars(atex_orchestrator.events))
    for platform, factory in (("p", LocalProvisioner), ("q", Refusing)):
        orchestrator.add_platform(platform, suite_of(tmp_path, Test(name="/a", test="false")))
        orchestrator.add_provisioner(factory, platform=platform)
    orchestrator.run()
    lines = sorted(capsys.readouterr().out.splitlines())
    assert re.fullmatch(r"/a failed on local after \d+\.\d+ seconds", lines[0])
    assert lines[1:] == ["a machine can not be used: it is broken"]


def test_a_loop_over_events(tmp_path: Path) -> None:
    visited: list[str] = []

    class Answer:
        def close(self) -> None:
            pass

    def urlopen(url: str) -> Answer:
        visited.append(url)
        return Answer()

    before = {*threading.enumerate()}
    orchestrator = Orchestrator(tmp_path / "run")
    names = {**vars(atex_orchestrator.events), "Iterator": Iterator, "threading": threading}
    run_block("Events", 1, orchestrator=orchestrator, urlopen=urlopen, **names)
    orchestrator.add_platform("p", suite_of(tmp_path, Test(name="/a", test="true")))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    orchestrator.run()
    for thread in {*threading.enumerate()} - before:
        thread.join(10)
    assert visited == ["http://dashboard.lab/?machine=local"]


def test_aborting_a_machine(tmp_path: Path) -> None:
    """What had begun there when the third failure was told gets another attempt elsewhere."""
    cancelled = tmp_path / "cancelled"

    def listen(event: Event) -> None:
        if isinstance(event, TestFinished) and event.status == "infra":
            cancelled.touch()

    orchestrator = Orchestrator(tmp_path / "run", order="plan")
    orchestrator.subscribe(listen)
    names = {**vars(atex_orchestrator.events), "Counter": Counter}
    run_block("Aborting", orchestrator=orchestrator, **names)
    scripts = [
        "false",
        "true",
        "false",
        "false",
        "false",
        f"until [ -e {cancelled} ]; do sleep 0.02; done",
    ]
    tests = [Test(name=f"/{n}", test=script, duration=60) for n, script in enumerate(scripts)]
    orchestrator.add_platform("p", suite_of(tmp_path, *tests))
    orchestrator.add_provisioner(Fresh, platform="p")
    summary = orchestrator.run()
    assert summary.counts == {"pass": 2, "fail": 4}
    [trouble] = summary.troubles
    assert trouble.reason == "three tests in a row failed there"
    records = list(read_finals(tmp_path / "run"))
    there, cancelled_there, elsewhere = records[:5], records[5], records[6]
    assert [record.test for record in there] == ["/0", "/1", "/2", "/3", "/4"]
    assert {record.machine for record in there} == {trouble.machine}
    assert (cancelled_there.test, cancelled_there.status) == ("/5", "infra")
    assert cancelled_there.machine in (trouble.machine, None)  # None: it had not begun yet
    assert (elsewhere.test, elsewhere.status) == ("/5", "pass")
    assert elsewhere.machine not in (trouble.machine, None)
