"""fmf trees that benchmarks run, readable by all peers."""

import json
from pathlib import Path

PLAN = """\
discover:
    how: fmf
execute:
    how: tmt
"""

# Writes results as fast as Python can; `sized` chooses the form that also the older atex reads.
SENDER = """\
import os, sys
count, sized = int(sys.argv[1]), sys.argv[2] == "sized"
control = os.fdopen(int(os.environ["ATEX_TEST_CONTROL"]), "wb", 1 << 20)
if sized:
    results = (b'{"name": "call/%d", "status": "pass"}' % number for number in range(count))
    control.writelines(b"result %d\\n%s" % (len(result), result) for result in results)
else:
    control.writelines(b'result {"name": "call/%d", "status": "pass"}\\n' % number for number in range(count))
control.flush()
"""


def write_tree(folder: Path, tests: dict[str, str]) -> Path:
    """Make an fmf tree with one plan, `/plan`, and a test for each name and script; return `folder`."""
    (folder / ".fmf").mkdir(parents=True)
    (folder / ".fmf" / "version").write_text("1\n")
    (folder / "plan.fmf").write_text(PLAN)
    (folder / "send.py").write_text(SENDER)
    for name, script in tests.items():
        (folder / f"{name}.fmf").write_text(f"test: {json.dumps(script)}\nduration: 1h\n")
    return folder
