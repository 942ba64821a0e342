"""Rows of JSON Lines, JSON and parquet files as named values, going on after broken lines and damaged row groups."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from vlmkit.core.errors import InputError, nearest
from vlmkit.core.io.archives import MAX_RECORD
from vlmkit.core.io.inflate import Damage, pieces
from vlmkit.core.io.sources import Source
from vlmkit.core.io.stream import Stream
from vlmkit.core.io.tables import open_part

ROWS_AT_ONCE = 256


class Fields(NamedTuple):
    """One row: its values by name, its place in the file, and the same in words."""

    values: dict[str, object]
    place: int
    where: str

    def metadata(self, value: object) -> dict[str, object]:
        """What a row's own `metadata` holds: a map, or one written as JSON."""
        if isinstance(value, str) and value.startswith("{"):
            try:
                value = json.loads(value)
            except ValueError:
                return {"metadata": value}
        if value is None or value == "":
            return {}
        return dict(value) if isinstance(value, dict) else {"metadata": value}


def read_json(source: Source, start: int = 0, stop: int | None = None) -> Iterator[Fields | Damage]:
    """Rows of a JSON Lines file between two offsets (the lines that begin there), or of a JSON file of objects."""
    stream = Stream(pieces(source.path, source.name, start=max(start - 1, 0)))
    if start:
        stream.line(limit=MAX_RECORD)  # the line that begins before `start` belongs to the slice before
    elif json_file(source, stream):
        yield from read_json_file(source)
        return
    number = 0
    while True:
        offset, inner = stream.offset()
        if stop is not None and offset >= stop:
            return
        line = stream.line(limit=MAX_RECORD)
        number += 1
        if not line:
            gap = stream.take_gap()
            if gap is None:
                return
            yield gap
        elif line.strip():
            where = f"byte {offset:,}" if start else f"line {number:,}"
            yield parse_line(line, source.name, offset + inner, where)


def parse_line(line: bytes, name: str, place: int, where: str) -> Fields | Damage:
    """One line as a row."""
    try:
        value = json.loads(line)
    except UnicodeDecodeError as error:
        return Damage(name, place, "broken_line", f"{where} is not UTF-8: {error.reason} at its byte {error.start}")
    except (ValueError, RecursionError) as error:
        return Damage(name, place, "broken_line", f"{where} is not JSON: {error}")
    if not isinstance(value, dict):
        return Damage(name, place, "broken_line", f"{where} is a {type(value).__name__}, not an object of named values")
    return Fields(value, place, where)


def json_file(source: Source, stream: Stream) -> bool:
    """Whether a file is one JSON value, an array or an object over several lines, rather than lines of objects."""
    if ".json" not in source.name.lower() or ".jsonl" in source.name.lower():
        return False
    head = stream.peek(1 << 16).lstrip()
    first = head.partition(b"\n")[0]
    return head.startswith(b"[") or (head.startswith(b"{") and not first.rstrip().endswith(b"}"))


def read_json_file(source: Source) -> Iterator[Fields | Damage]:
    """Rows of a file that is one array of objects, or one object."""
    data, damages = whole(source)
    yield from damages
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        yield Damage(source.name, 0, "broken_line", f"the file is not JSON: {error}")
        return
    for index, row in enumerate(value if isinstance(value, list) else [value]):
        if isinstance(row, dict):
            yield Fields(row, index, f"entry {index + 1:,}")
        else:
            yield Damage(source.name, index, "broken_line", f"entry {index + 1:,} is no object of named values")


def read_parquet(source: Source, start: int = 0, stop: int | None = None) -> Iterator[Fields | Damage]:
    """Rows of a parquet file's row groups from start up to stop; a damaged group is reported."""
    try:
        handle = open_part(source.path, None)
    except InputError as error:
        yield Damage(source.name, 0, "damaged_file", error.what)
        return
    place = sum(handle.metadata.row_group(group).num_rows for group in range(start))
    for group in range(start, handle.num_row_groups if stop is None else stop):
        end = place + handle.metadata.row_group(group).num_rows
        try:
            for batch in handle.iter_batches(ROWS_AT_ONCE, row_groups=[group]):
                for row in rows_of(batch):
                    yield (
                        Damage(source.name, place, "broken_row", f"row {place:,}: {row}")
                        if isinstance(row, str)
                        else Fields(row, place, f"row {place:,}")
                    )
                    place += 1
        except (pa.ArrowInvalid, OSError) as error:
            reason = f"rows {place:,} to {end - 1:,} cannot be read: {error}"
            yield Damage(source.name, place, "damaged_rows", reason)
        place = end


def whole(source: Source) -> tuple[bytes, list[Damage]]:
    """All bytes of a file that can be read, and what is damaged; nothing of a file that is too long."""
    data, damages, size = [], [], 0
    for piece in pieces(source.path, source.name):
        if isinstance(piece, Damage):
            damages.append(piece)
            continue
        data.append(piece.data)
        size += len(piece.data)
        if size > MAX_RECORD:
            what = f"over {MAX_RECORD:,} bytes that can only be read at once"
            return b"", [*damages, Damage(source.name, 0, "too_long", what)]
    return b"".join(data), damages


def rows_of(batch: pa.RecordBatch) -> Iterator[dict[str, object] | str]:
    """The rows of a batch; for one with a value that cannot be read, such as text that is no UTF-8, what is wrong."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):
        for number in range(batch.num_rows):
            try:
                yield batch.slice(number, 1).to_pylist()[0]
            except (ValueError, OverflowError) as error:
                yield str(error)


def check_columns(sources: list[Source], text_column: str) -> None:
    """Refuse tables that hold neither the text column nor HTML, and JSON Lines whose first row does not.

    Raises:
        InputError: naming the file, and the columns that it has.
    """
    for source in sources:
        if source.format == "parquet":
            try:
                names = open_part(source.path, None).schema_arrow.names
            except InputError:
                if len(sources) == 1:
                    raise
                continue  # one of several: reported when it is read
        elif source.format == "json" and (row := first_row(source)):
            names = list(row.values)
        else:
            continue
        if text_column not in names and "html" not in names:
            raise InputError(
                f"column '{text_column}' is missing",
                where=f"{source.path} (it has: {', '.join(names[:20])})",
                fix=f"--text-column NAME: {nearest(text_column, names)}",
            )


def first_row(source: Source) -> Fields | None:
    """The first row of a JSON Lines file that can be read; None for other JSON, which may be anything."""
    stream = Stream(pieces(source.path, source.name))
    if ".jsonl" not in source.name.lower() and ".ndjson" not in source.name.lower():
        return None
    for _ in range(10):
        row = parse_line(stream.line(limit=MAX_RECORD), source.name, 0, "")
        if isinstance(row, Fields):
            return row
    return None
