"""JSON Lines that must be right: every line is one object, and a fault is named by file and line."""

import json
from collections.abc import Iterator
from pathlib import Path

from vlmkit.core.errors import InputError


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Objects of a JSON Lines file, each with its place ("FILE:LINE", counted from 1); blank lines are skipped.

    Raises:
        InputError: a line is not UTF-8 or not one JSON object, or the file holds none.
    """
    empty = True
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            empty = False
            where = f"{path}:{number}"
            try:
                value = json.loads(line)
                if b"\\ud" in line.lower():
                    json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
            except ValueError as error:  # also what is no Unicode
                raise InputError(f"not a line of JSON: {error}", where=where, fix="mend or delete the line") from error
            if not isinstance(value, dict):
                raise InputError(
                    "not a JSON object", where=where, fix='a line looks like {"query": …, "choices": […], "gold": 0}'
                )
            yield where, value
    if empty:
        raise InputError("the file is empty", where=str(path), fix="give a file with one JSON object a line")


def read_objects(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Objects of a .json file (one object or a list of them) or of a JSON Lines file, each with its place."""
    if path.suffix == ".jsonl":
        yield from read_json_lines(path)
        return
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where=str(path), fix="give JSON, or name it .jsonl") from error
    for number, item in enumerate(value if isinstance(value, list) else [value]):
        where = f"{path}[{number}]" if isinstance(value, list) else str(path)
        if not isinstance(item, dict):
            raise InputError("not a JSON object", where=where, fix="an object, or a list of objects")
        yield where, item
