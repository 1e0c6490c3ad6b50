"""A plan of the repository beside this file, under tmt and under ATEX: what each of them made of it."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from atex_orchestrator.results import read_records

from tests.cli.command import Atex
from tests.machines import LightHost
from tests.system.both.tmt import Tmt

REPOSITORY = Path(__file__).with_name("repository")
EVIDENCE = (
    "var/tmp/evidence"  # the file on a machine where prepare, tests and finish write what they see
)


class Seen(msgspec.Struct, frozen=True):
    """What became of a plan."""

    code: int
    told: str
    verdicts: dict[str, str]
    """By serial and name, in this order."""

    traces: Sequence[str]
    """Parts that were reported, files that were sent, lines of the evidence."""


Both = Callable[..., tuple[Seen, Seen]]


def copy_repository(folder: Path) -> Path:
    """Make a copy of the repository, and of the one that it refers to."""
    tree, remote = folder / "tree", folder / "remote"
    shutil.copytree(REPOSITORY, tree)
    _make_remote(remote)
    plan = tree / "plans/remote.fmf"
    plan.write_text(plan.read_text().replace("REMOTE", str(remote)))
    return tree


def run_tmt(tmt: Tmt, host: LightHost, tree: Path, plan: str, *options: str) -> Seen:
    """Run a plan under tmt."""
    done = tmt.run(tree, plan, *options, context=_context(tree, Path()))
    verdicts, parts, files = {}, [], []
    for result in done.results:
        name = result["name"]
        verdicts[f"{result['serial-number']} {name}"] = result["result"]
        parts += [
            f"{name}: part {part['name'].lstrip('/')}: {part['result']}"
            for part in result["subresult"]
        ]
        data = f"{result['data-path']}/"
        sent = [log.removeprefix(data) for log in result["log"] if log.startswith(data)]
        files += [f"{name}: file {file}" for file in sent if file != "failures.yaml"]  # its own
    return Seen(done.code, done.out, verdicts, [*parts, *files, *_evidence(host)])


def run_atex(atex: Atex, host: LightHost, tree: Path, plan: str, *options: str) -> Seen:
    """Run a plan under ATEX."""
    words = ["--on", f"ssh:{host.user}@{host.address}", "--identity", str(host.identity)]
    words += [*_context(tree, tree), "--output", str(atex.results)]
    done = atex("run", tree, "--plan", plan, "--order", "plan", *words, *options)
    records = list(read_records(atex.results)) if atex.results.exists() else []
    verdicts, parts, files = {}, [], []
    for record in records:
        name = record["test"]
        if "name" in record:
            parts.append(f"{name}: part {record['name']}: {record['status']}")
        if record.get("final"):
            verdicts[f"{record['serial']} {name}"] = record["status"]
            sent = [Path(file).name for file in record["files"][1:]]  # the first is its output
            files += [f"{name}: file {file}" for file in sent]
    return Seen(done.code, done.out + done.err, verdicts, [*parts, *files, *_evidence(host)])


def _context(tree: Path, seen: Path) -> list[str]:
    """The options for the context: a dimension, and a file of others, where the tree (for the tool: `seen`) has one."""
    file = "context.yaml"
    return ["-c", "trigger=commit", *(["-c", f"@{seen / file}"] if (tree / file).exists() else [])]


def _evidence(host: LightHost) -> list[str]:
    file = host.folder / EVIDENCE
    return file.read_text().splitlines() if file.exists() else []


def _make_remote(folder: Path) -> None:
    """A git repository with a tag `v1` and a branch `other`."""
    git = ["git", "-C", str(folder), "-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]

    def commit(*tag: str) -> None:
        for words in (
            ["add", "."],
            ["commit", "--quiet", "--message", "more"],
            *([[*tag]] if tag else []),
        ):
            subprocess.run([*git, *words], check=True)

    def tests(path: str, **scripts: str) -> None:
        (folder / path / ".fmf").mkdir(parents=True)
        (folder / path / ".fmf/version").write_text("1\n")
        lines = [
            f"/{name}:\n    test: {script}\n    tag: {name}" for name, script in scripts.items()
        ]
        (folder / path / "main.fmf").write_text("\n".join(lines))

    folder.mkdir()
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
    tests(".", quick="ls main.fmf", slow="exit 1")
    commit("tag", "v1")
    subprocess.run([*git, "checkout", "--quiet", "-b", "other"], check=True)
    tests("inner/tree", far="ls ../../main.fmf main.fmf")
    commit()
    subprocess.run([*git, "checkout", "--quiet", "main"], check=True)
