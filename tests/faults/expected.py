"""What has to be in a run folder after sender.py, whatever happened on the way."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.faults import sender


def check(folder: Path, portions: int) -> None:
    """Every result once and in order, every file whole, one final record, the status right. Raises AssertionError."""
    *records, final = _read(folder / "results.jsonl")
    by_name = defaultdict(list)
    for record in records:
        by_name[record["name"]].append(record)
    expected = _expected(portions)
    assert by_name.keys() == expected.keys()
    for name, numbers in expected.items():
        _compare(
            name, [record.get("number", record.get("numbers")) for record in by_name[name]], numbers
        )
    counts = [record["n"] for record in records]
    assert len(set(counts)) == len(counts), "two records have the same n"
    assert not any("final" in record for record in records)
    _check_files(folder, records, portions)
    _check_final(folder, final, portions)
    journal = folder / "partial.jsonl"
    assert not journal.exists() or not journal.read_bytes(), "the journal is not cut back"


def _read(path: Path) -> list[dict[str, Any]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return decoder.decode_lines(data)


def _expected(portions: int) -> dict[str, list[Any]]:
    """The numbers of each name's records, in order."""
    numbers: dict[str, list[Any]] = defaultdict(list)
    for client in range(sender.CLIENTS):
        for portion in range(portions):
            name = _name(client, portion)
            count = sender.portion_of(sender.RESULTS, portions, portion)
            numbers[name] += range(len(numbers[name]), len(numbers[name]) + count)
            numbers[f"{name}.files"] += [[portion, index] for index in range(sender.FILES)]
            merged = numbers.setdefault(f"{name}.partial", [[]])
            merged[0] += [[portion, index] for index in range(sender.PARTIALS)]
    return numbers


def _name(client: int, portion: int) -> str:
    return f"{client}.{portion // sender.GENERATION}"


def _compare(name: str, got: Sequence[Any], expected: Sequence[Any]) -> None:
    if list(got) == list(expected):
        return
    for place, (one, other) in enumerate(zip(got, expected, strict=False)):
        assert one == other, (
            f"{name}: {str(one)[:200]} came where {str(other)[:200]} should, at {place}"
        )
    raise AssertionError(f"{name}: {len(got)} came, {len(expected)} were sent")


def _check_files(folder: Path, records: Sequence[dict[str, Any]], portions: int) -> None:
    expected: dict[tuple[str, str], bytes] = defaultdict(bytes)
    for client in range(sender.CLIENTS):
        for portion in range(portions):
            for index in range(sender.FILES):
                key = f"{_name(client, portion)}.files", sender.file_name(index)
                expected[key] += sender.content(client, portion, index)
    listed = defaultdict(list)
    for record in records:
        for path in record.get("files", ()):
            listed[record["name"]].append(path)
    paths = {path for paths in listed.values() for path in paths}
    assert len(paths) == sum(map(len, listed.values())) == len(expected), "a file is listed twice"
    for (name, file), content in expected.items():
        (path,) = (path for path in listed[name] if path.endswith(f"/{file}"))
        assert (folder / "files" / path).read_bytes() == content, f"{path} is not what was sent"
    there = {path for path in (folder / "files").rglob("*") if path.is_file()}
    assert len(there) == len(paths) + 1, "there are files that no result lists"


def _check_final(folder: Path, final: dict[str, Any], portions: int) -> None:
    assert final["final"] is True
    assert (final["status"], final.get("note"), final["exit_code"]) == ("pass", None, 0)
    clients = defaultdict(list)
    for client in range(sender.CLIENTS):
        for portion in range(portions):
            clients[_name(client, portion)].append(portion)
    assert final["clients"] == clients
    (output,) = final["files"]
    lines = (folder / "files" / output).read_text().splitlines()
    said = [
        f"{client} {portion}" for client in range(sender.CLIENTS) for portion in range(portions)
    ]
    assert sorted(lines) == sorted(said), "the output is not what was printed"
