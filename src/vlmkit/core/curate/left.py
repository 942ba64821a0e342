"""A look at every document that is left, part by part on several processes, each result kept when it is done.

Stages that need the final texts (counting tokens for a mix, looking for task items) measure here; what they find is a
few arrays a part, so that a killed run goes on behind the parts that are measured.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from vlmkit.core.curate.parts import Done
from vlmkit.core.curate.repeated import texts_left
from vlmkit.core.curate.verdicts import KEPT, Verdicts
from vlmkit.core.io.files import atomic
from vlmkit.core.io.progress import progress
from vlmkit.core.io.tables import iter_rows
from vlmkit.core.io.workers import run_parts

Arrays = dict[str, np.ndarray]
S = TypeVar("S")


class Document(NamedTuple):
    """A document that is left: its number among all rows, its id, source and text, and the input it came with."""

    row: int
    id: str
    source: str
    text: str
    origin: str


@dataclass(frozen=True)
class Piece:
    """The rows of one part that are left (numbers within the part, in order), where it begins, and the table of texts
    that lost paragraphs."""

    part: Done
    start: int
    rows: np.ndarray
    changed: Path | None

    def __iter__(self) -> Iterator[Document]:
        wanted = set(self.rows.tolist())
        origins, texts = self.part.array("origins"), texts_left(self.changed) if self.changed else {}
        for row, values in enumerate(iter_rows(self.part.files("kept"), columns=["id", "source", "text"], batch=256)):
            if row in wanted:
                text = texts.get(row, str(values["text"]))
                yield Document(self.start + row, str(values["id"]), str(values["source"]), text, str(origins[row]))


def look(
    measure: Callable[[S, Iterable[Document]], Arrays],
    setup: Callable[[], S],
    parts: Sequence[Done],
    found: Verdicts,
    *,
    root: Path,
    workers: int,
    name: str,
) -> Iterator[Mapping[str, np.ndarray]]:
    """Arrays by `measure(setup(), documents)` of each part with documents, in order; `measure` must be picklable."""
    pieces = list(_pieces(parts, found))
    left = [(number, piece) for number, piece in pieces if not _file(root, number).is_file()]
    for count, _ in enumerate(run_parts(partial(_measure, measure, root), setup, left, workers=workers), 1):
        progress(name, len(pieces) - len(left) + count, len(pieces), "parts")
    for number, _ in pieces:
        with np.load(_file(root, number), allow_pickle=False) as arrays:
            yield dict(arrays)


def _pieces(parts: Sequence[Done], found: Verdicts) -> Iterator[tuple[int, Piece]]:
    start = 0
    for number, part in enumerate(parts):
        rows = np.flatnonzero(found.rule[start : start + part.kept] == KEPT)
        if rows.size:
            yield number, Piece(part, start, rows, found.repeated.table(number) if found.repeated else None)
        start += part.kept


def _measure(
    measure: Callable[[S, Iterable[Document]], Arrays], root: Path, state: S, number: int, piece: Piece
) -> None:
    arrays = measure(state, piece)
    with atomic(_file(root, number)) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _file(root: Path, number: int) -> Path:
    return root / f"{number:06d}.npz"
