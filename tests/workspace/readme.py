"""The examples in our READMEs."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python_examples(readme: Path) -> list[str]:
    """The source of each block that is fenced as ```python, in order."""
    return re.findall(r"^```python\n(.*?)^```$", readme.read_text(), flags=re.DOTALL | re.MULTILINE)
