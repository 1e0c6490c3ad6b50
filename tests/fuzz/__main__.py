"""Fuzzes targets with atheris (libFuzzer), guided by what they cover of our packages; several at once:

    scripts/hatch run fuzz:fuzz control_parser frame_decoder --seconds 30
    scripts/hatch run fuzz:fuzz frame_decoder --repeat findings/crash-...

A target is a module of this folder with `fuzz(data)`, which raises for what should never be; `seeds()`, the inputs to
begin with; and TOKENS, what is worth inserting. What is found lies in findings/, is printed, and belongs into the
target's test as a regression.
"""

import argparse
import importlib
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

TARGETS = ("control_parser", "frame_decoder")
PACKAGES = ["atex_executor", "atex_sut_agent"]
FINDINGS = Path("findings")
LONGEST = 4096  # bytes of an input
SLOWEST = 5  # seconds for one input
MEMORY = 1024  # MiB


def main() -> None:
    """Fuzz, or repeat a finding; the process ends with what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="+", choices=TARGETS, metavar="target")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="an input that failed")
    options = parser.parse_args()
    if len(options.targets) > 1:
        sys.exit(_each(options.targets, sys.argv[1:]))
    (target,) = options.targets
    if options.repeat:
        importlib.import_module(f"tests.fuzz.{target}").fuzz(options.repeat.read_bytes())
        return
    _fuzz(target, options.seconds)


def _each(targets: list[str], arguments: list[str]) -> int:
    """Do so for each target in a process of its own, side by side; return the worst exit code."""
    options = [argument for argument in arguments if argument not in targets]
    command = [sys.executable, "-m", "tests.fuzz", *options]
    processes = [subprocess.Popen([*command, target]) for target in targets]
    return max(abs(process.wait()) for process in processes)


def _fuzz(name: str, seconds: int) -> None:
    import atheris  # noqa: PLC0415 (repeating a finding does not need it)

    with atheris.instrument_imports(include=PACKAGES):
        target = importlib.import_module(f"tests.fuzz.{name}")
    logging.disable()  # remarks on what a machine sends, thousands a second
    FINDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="atex-fuzz-") as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(target.seeds()):
            (corpus / f"seed-{number}").write_bytes(seed)
        tokens = Path(folder, "tokens")
        tokens.write_text("".join(f'"{_escaped(token)}"\n' for token in target.TOKENS))
        limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SLOWEST}"]
        options = [f"-rss_limit_mb={MEMORY}", f"-dict={tokens}", f"-artifact_prefix={FINDINGS}/"]
        argv = [sys.argv[0], *limits, *options, "-print_final_stats=1", str(corpus)]
        atheris.Setup(argv, target.fuzz)
        atheris.Fuzz()  # ends the process


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    main()
