"""The header of a safetensors file: eight bytes of length, a JSON object, then the arrays one after another.

We write it ourselves because the official writer leaves the order of the metadata to chance, so that two equal runs
would give unequal bytes; and we read it ourselves so that a truncated file is named before anyone maps it.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmkit.core.errors import InputError
from vlmkit.core.io.files import atomic

LONGEST = 100_000_000  # bytes of header that the format allows
BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "C64": 64, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "BOOL": 8}
BITS |= {"U64": 64, "U32": 32, "U16": 16, "U8": 8, "F8_E4M3": 8, "F8_E5M2": 8}  # others are taken as they come


@dataclass(frozen=True)
class Entry:
    """One array: its name, its type in the words of safetensors, its shape, and its bytes [start, stop) in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself: metadata, the arrays by name, and where the first array begins."""

    metadata: dict[str, str]
    entries: dict[str, Entry]
    begin: int


def encode_header(arrays: Sequence[tuple[str, str, tuple[int, ...], int]], metadata: dict[str, str]) -> bytes:
    """The header of arrays (name, dtype, shape, bytes) that follow in this order; metadata sorted by key."""
    table: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for name, dtype, shape, size in arrays:
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def read_header(path: Path) -> Header:
    """Read and check a header against the size of its file.

    Raises:
        InputError: the file is missing, is not safetensors, or is shorter or longer than its header says.
    """
    if not path.is_file():
        raise InputError("no such file", where=str(path), fix="check the path, or copy all files again")
    size = path.stat().st_size
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or length > min(LONGEST, size - 8):
            raise damaged(path, "the file is cut off within its header")
        text = handle.read(length)
    try:
        table = json.loads(text)
        metadata = table.pop("__metadata__", {})
        entries = {name: _entry(name, item, 8 + length) for name, item in table.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, "its header cannot be read") from error
    _check_extent(path, entries, size, 8 + length)
    return Header(metadata, entries, 8 + length)


def restamp(path: Path, metadata: dict[str, str]) -> None:
    """Rewrite the header of a file with this metadata, sorted; the arrays stay as they are."""
    header = read_header(path)
    entries = sorted(header.entries.values(), key=lambda e: e.start)
    with atomic(path) as temporary, temporary.open("wb") as out, path.open("rb") as source:
        out.write(encode_header([(e.name, e.dtype, e.shape, e.stop - e.start) for e in entries], metadata))
        source.seek(header.begin)
        shutil.copyfileobj(source, out, 1 << 24)


def damaged(path: Path, why: str) -> InputError:
    """The error for a file whose content cannot be right."""
    return InputError(f"damaged file: {why}", where=str(path), fix="copy it again from its source, or make it again")


def _entry(name: str, item: dict[str, list[int]], begin: int) -> Entry:
    start, stop = (begin + int(offset) for offset in item["data_offsets"])
    entry = Entry(name, str(item["dtype"]), tuple(int(n) for n in item["shape"]), start, stop)
    count = 1
    for axis in entry.shape:
        count *= axis
    bits = BITS.get(entry.dtype)
    if start < begin or stop < start or (bits is not None and count * bits != 8 * (stop - start)):
        raise ValueError(name)
    return entry


def _check_extent(path: Path, entries: dict[str, Entry], size: int, begin: int) -> None:
    end = max((entry.stop for entry in entries.values()), default=begin)
    if end > size:
        raise damaged(path, f"it has {size:,} bytes, its header asks for {end:,}")
    if end < size:
        raise damaged(path, f"{size - end:,} bytes follow the last array")
