"""A new order for more rows of tokens than memory holds.

Every row has a random key; its place is its key's rank, so the order is a uniform permutation that the keys alone
decide. Rows are put into cells on the disk, a stretch of places each, as they come; a cell fits into memory, and read
one after the other in the order of their places the cells are the new order.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import xxhash

from vlmkit.core.io.files import remove, write_json
from vlmkit.cuda.ngrams import mix

HELD = 1 << 24  # tokens that wait for being put into cells
CELL = 1 << 24  # tokens of a cell of documents
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def row_keys(counts: Sequence[int], *, seed: int) -> np.ndarray:
    """A random key for every row of several tables of `counts` rows, uint64 (sum of counts,): SplitMix64, a stream a
    table."""
    first = mix(np.uint64(seed % (1 << 64)) + np.arange(1, len(counts) + 1, dtype=np.uint64) * GOLDEN)
    every = [mix(start + np.arange(1, n + 1, dtype=np.uint64) * GOLDEN) for start, n in zip(first, counts, strict=True)]
    return np.concatenate([np.empty(0, np.uint64), *every])


def id_keys(ids: Iterable[str], *, seed: int) -> np.ndarray:
    """A random key for every id, uint64 (N,), whatever their order."""
    keys = [xxhash.xxh3_64_intdigest(one.encode("utf-8", "surrogatepass"), seed) for one in ids]
    return mix(np.array(keys, dtype=np.uint64))


def places_of(keys: np.ndarray) -> np.ndarray:
    """The place of every row in the order of keys (N,), int64; equal keys stay as they are."""
    places = np.empty(len(keys), dtype=np.int64)
    places[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    return places


def cell_edges(places: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Where cells of about `CELL` tokens begin among places, and the end, for rows of `lengths` tokens."""
    in_order = np.empty_like(lengths)
    in_order[places] = lengths
    before = np.cumsum(in_order) - in_order
    return np.append(np.unique(before // CELL, return_index=True)[1], len(places))


class Cells:
    """Cells in a folder: row number i, of those that come, has place `places[i]`; cell c holds the places from edges[c]
    up to edges[c + 1]."""

    def __init__(self, folder: Path, places: np.ndarray, edges: np.ndarray) -> None:
        self.folder, self.places, self.edges = folder, places, edges
        self.count = len(edges) - 1

    def fill(self, rows: Iterable[np.ndarray]) -> None:
        """Put rows of int32 into their cells, unless that is done already."""
        done = self.folder / "done.json"
        if done.is_file():
            return
        remove(self.folder)
        self.folder.mkdir(parents=True)
        held: list[np.ndarray] = []
        size = start = 0
        for row in rows:
            held.append(np.asarray(row, dtype=np.int32))
            size += len(row)
            if size >= HELD:
                self._put(start, held)
                start, held, size = start + len(held), [], 0
        self._put(start, held)
        write_json(done, {"rows": start + len(held)})

    def read(self, cell: int) -> Iterator[np.ndarray]:
        """The rows of a cell in the order of their places."""
        path = self._path(cell)
        values = np.fromfile(path, dtype=np.int32) if path.is_file() else np.empty(0, np.int32)
        rows: list[np.ndarray | None] = [None] * int(self.edges[cell + 1] - self.edges[cell])
        at = 0
        while at < len(values):
            place, length = int(values[at]), int(values[at + 1])
            rows[place] = values[at + 2 : at + 2 + length]
            at += 2 + length
        assert all(row is not None for row in rows), "a row of a cell is missing"
        yield from (row for row in rows if row is not None)

    def __iter__(self) -> Iterator[np.ndarray]:
        for cell in range(self.count):
            yield from self.read(cell)

    def _put(self, start: int, rows: list[np.ndarray]) -> None:
        places = self.places[start : start + len(rows)]
        cells = np.searchsorted(self.edges, places, side="right") - 1
        order = np.argsort(cells, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(cells[order])) + 1):
            if not len(group):
                continue
            cell = int(cells[group[0]])
            with self._path(cell).open("ab") as file:
                for one in group.tolist():
                    head = np.array([places[one] - self.edges[cell], len(rows[one])], dtype=np.int32)
                    file.write(head.data)
                    file.write(np.ascontiguousarray(rows[one]).data)

    def _path(self, cell: int) -> Path:
        return self.folder / f"{cell:06d}.rows"
