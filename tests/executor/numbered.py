"""A test whose results are numbered, so that one sees what is lost, doubled or out of order on the way."""

from pathlib import Path

_SCRIPT = """
n=0
for round in {{0..{kills}}}; do
    for i in {{1..{results}}}; do
        n=$((n + 1))
        echo "result {{\\"name\\": \\"$n\\", \\"status\\": \\"pass\\"}}"
    done >&$ATEX_TEST_CONTROL
    json='{{"name": "files", "files": [{{"name": "log", "length": 8}}]}}'
    printf 'result %s\\n%sround %d\\n' ${{#json}} "$json" $round >&$ATEX_TEST_CONTROL
    {more}
    echo "round $round"
    until [ -e {go}/$round ]; do sleep 0.02; done
done
"""


def numbered(kills: int, results: int, go: Path, more: str = "") -> str:
    """A script that sends `results` in each of its rounds, 0 to `kills`, a file and a line of output, and does `more`.

    At the end of a round it waits for a file in `go` that has its number.
    """
    return _SCRIPT.format(kills=kills, results=results, go=go, more=more)


def has_lines(path: Path, count: int) -> bool:
    """Whether there are so many by now."""
    return path.exists() and path.read_bytes().count(b"\n") >= count


def names(kills: int, results: int) -> list[str]:
    """Of its numbered results."""
    return [str(number) for number in range(1, (kills + 1) * results + 1)]


def lines(kills: int) -> str:
    """What is in its output, and in its file."""
    return "".join(f"round {number}\n" for number in range(kills + 1))
