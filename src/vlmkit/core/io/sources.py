"""Which files an input consists of, what each of them is, and how the work on them is cut into parts.

Files are taken in the order of their names below the input, whatever order they are given in; the cut depends on their
sizes alone. So the same files give the same parts on any machine, for any number of workers.
"""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from vlmkit.core.errors import InputError
from vlmkit.core.io.archives import is_archive
from vlmkit.core.io.artifacts import missing, unfinished
from vlmkit.core.io.files import digest, files_below
from vlmkit.core.io.manifest import NAME as MANIFEST
from vlmkit.core.io.progress import log
from vlmkit.core.io.tables import open_part

FORMATS = {
    ".warc": "archive", ".arc": "archive", ".wet": "archive",
    ".html": "html", ".htm": "html", ".xhtml": "html",
    ".jsonl": "json", ".ndjson": "json", ".json": "json",
    ".parquet": "parquet",
    ".txt": "text", ".text": "text",
}  # fmt: skip
COMPRESSIONS = (".gz", ".zst")
SMALLEST_PART, LARGEST_PART, MANY_PARTS = 1 << 20, 32 << 20, 64
FILES_PER_PART = 2000


class Source(NamedTuple):
    """One file: where it is, its name below the input, what it is, how many bytes; and the address from which it is
    loaded to where it is, when it is read."""

    path: Path
    name: str
    format: str
    size: int
    address: str = ""


class Slice(NamedTuple):
    """A stretch of a source: bytes, or row groups of a parquet file, from start up to stop (None: to the end)."""

    source: Source
    start: int = 0
    stop: int | None = None


Part = tuple[Slice, ...]


def find_sources(inputs: Sequence[Path], listed: Sequence[Source] = ()) -> list[Source]:
    """All readable files of files and folders, and those of lists, in the order of their names.

    Raises:
        InputError: an input does not exist, or nothing in it can be read.
    """
    found, skipped = list(listed), []
    for path in inputs:
        if not path.exists():
            raise missing(path)
        if not path.is_file() and not path.is_dir():
            raise InputError(f"this is {fault_of(path)}", where=str(path), fix="write it to a file first")
        for file, name in [(path, path.name)] if path.is_file() else below(path):
            kind = format_of(file) if file.is_file() else "none"
            if kind == "none":
                found.append(Source(file, name, kind, 0))
            elif kind:
                found.append(Source(file, name, kind, file.stat().st_size))
            else:
                skipped.append(name)
    if not found:
        raise InputError(
            f"nothing here can be read ({len(skipped)} files of other kinds)",
            where=", ".join(map(str, inputs)),
            fix="give WARC, ARC, HTML, JSON Lines, parquet or text files, or folders with such files",
        )
    if skipped:
        log.warning("%d files are of no kind that can be read, and are left out: %s", len(skipped), shown(skipped))
    return in_order(found)


def below(folder: Path) -> list[tuple[Path, str]]:
    """The files of a folder with their names, and what stands in the place of a file but cannot be read; of a curated
    artifact only its documents."""
    unfinished(folder)
    inside = folder / "documents"
    root = inside if (folder / MANIFEST).is_file() and inside.is_dir() else folder
    files = [path for path in files_below(root) if path.name != MANIFEST]
    return [(path, path.relative_to(root).as_posix()) for path in [*files, *no_files(root)]]


def no_files(folder: Path) -> list[Path]:
    """Links that lead nowhere or to a folder, folders that may not be read, pipes and the like below a folder; hidden
    ones left out."""
    closed = (path for path in folder.rglob("*") if not path.is_file())
    found = (
        path for path in closed if path.is_symlink() or not path.is_dir() or not os.access(path, os.R_OK | os.X_OK)
    )
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def fault_of(path: Path) -> str:
    """Why something in the place of a file cannot be read."""
    if path.is_symlink():
        return "a link to a folder, which is not followed" if path.is_dir() else "a link that leads nowhere"
    if path.is_dir():
        return "a folder that you may not read"
    return "a pipe, a socket or a device, no file"


def format_of(path: Path) -> str | None:
    """What a file is, by its name or else its first bytes; None for what cannot be read."""
    kind = FORMATS.get(suffix_of(path.name))
    if kind:
        return kind
    if is_archive(path):
        return "archive"
    with path.open("rb") as file:
        return "parquet" if file.read(4) == b"PAR1" else None


def suffix_of(name: str) -> str:
    """The ending that says what a file is, without that of a compression, in lower case."""
    name = name.lower()
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    return Path(name).suffix


def in_order(sources: list[Source]) -> list[Source]:
    """Sources by name; files of one name in several inputs by their content."""
    count = Counter(source.name for source in sources)

    def content(source: Source) -> str:
        return source.address or digest(source.path) if count[source.name] > 1 else ""

    return sorted(sources, key=lambda source: (source.name, content(source)))


def shown(names: Sequence[str]) -> str:
    """A few names of many."""
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def plan_parts(sources: Sequence[Source]) -> list[Part]:
    """Cut sources into parts of about equal size: large files that allow it are split, small ones gathered."""
    total = sum(source.size for source in sources)
    target = min(max(total // MANY_PARTS, SMALLEST_PART), LARGEST_PART)
    parts: list[Part] = []
    gathered: list[Slice] = []
    held = 0
    for source in sources:
        slices = split(source, target)
        if gathered and (len(slices) > 1 or held + source.size > target or len(gathered) >= FILES_PER_PART):
            parts.append(tuple(gathered))
            gathered, held = [], 0
        if len(slices) > 1:
            parts += [(piece,) for piece in slices]
        else:
            gathered += slices
            held += source.size
    return [*parts, tuple(gathered)] if gathered else parts


def split(source: Source, target: int) -> list[Slice]:
    """Slices of about `target` bytes, where the format can be entered in the middle."""
    name = source.name.lower()
    if source.size <= 2 * target or source.address:
        return [Slice(source)]
    if source.format == "parquet":
        return row_groups(source, target)
    lines = source.format == "json" and name.endswith((".jsonl", ".ndjson"))
    if lines or (source.format == "archive" and name.endswith((".warc.gz", ".wet.gz"))):
        edges = [*range(0, source.size - target // 2, target)]
        return [Slice(source, a, b) for a, b in zip(edges, [*edges[1:], None], strict=True)]
    return [Slice(source)]


def row_groups(source: Source, target: int) -> list[Slice]:
    """Slices of whole row groups."""
    try:
        metadata: pq.FileMetaData = open_part(source.path, None).metadata
    except InputError:  # damaged: reported when it is read
        return [Slice(source)]
    slices, start, held = [], 0, 0
    for group in range(metadata.num_row_groups):
        held += metadata.row_group(group).total_byte_size
        if held >= target:
            slices.append(Slice(source, start, group + 1))
            start, held = group + 1, 0
    if start < metadata.num_row_groups or not slices:
        slices.append(Slice(source, start, None))
    return slices
