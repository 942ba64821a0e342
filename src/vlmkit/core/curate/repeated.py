"""Paragraphs and pages that repeat earlier ones, over all parts in order, by a Bloom filter (BFF's `old-both`).

What is found in a part is written when the part is through, and the filter now and then, so that a killed run goes on
behind the last filter that it wrote; texts that lost paragraphs wait on the disk.
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vlmkit.core.curate.bloom import Filter, OldBoth
from vlmkit.core.io.files import atomic, remove, write_json
from vlmkit.core.io.progress import progress

EVERY_S, SHARE = 120.0, 20  # the filter is written every so often, but for at most one part in so many of the time
SCHEMA = pa.schema([("row", pa.int64()), ("share", pa.float64()), ("text", pa.string())])  # no text: as it was

Texts = Iterator[tuple[int, str]]  # rows of a part with their texts, in order


class Repeated:
    """What the filter does to the pages of each part, kept below a folder."""

    def __init__(self, folder: Path, *, expected: int, rate: float, threshold: float) -> None:
        self.folder, self.expected, self.rate = folder, expected, rate
        self.filter = Filter(expected, rate=rate)
        self.bloom = OldBoth(self.filter, threshold)
        self.changed = self.dropped = self.done = 0
        sheet = folder / "at.json"
        if sheet.is_file():
            at = json.loads(sheet.read_text(encoding="utf-8"))
            self.done, self.changed, self.bloom.removed = at["done"], at["changed"], at["removed"]
            load_arrays(self.filter, folder / at["file"])
        self._since, self._pause = time.monotonic(), EVERY_S

    def work(self, parts: Sequence[Texts]) -> None:
        """Take the parts that are not done yet."""
        for number, texts in enumerate(parts):
            if number >= self.done:
                self.part(number, texts)
                progress("bloom", number + 1, len(parts), "parts", paragraphs=self.bloom.removed)
                if time.monotonic() - self._since > self._pause and number + 1 < len(parts):
                    self.write(number + 1)

    def part(self, number: int, texts: Texts) -> None:
        """Take the pages of one part."""
        rows: list[int] = []
        shares: list[float] = []
        lefts: list[str | None] = []
        for row, text in texts:
            left, share = self.bloom(text)
            rows.append(row)
            shares.append(share)
            lefts.append((left if left.strip() else "") if left != text or not left.strip() else None)
            self.changed += bool(lefts[-1])
        with atomic(self.table(number)) as temporary:
            pq.write_table(pa.table([rows, shares, lefts], schema=SCHEMA), temporary, compression="zstd")

    def write(self, done: int) -> None:
        """Write the filter as it is after so many parts."""
        begun, sheet = time.monotonic(), self.folder / "at.json"
        name = f"filter-{done:06d}.npz"
        save_arrays(self.filter, self.folder / name)
        write_json(sheet, {"done": done, "changed": self.changed, "removed": self.bloom.removed, "file": name})
        for old in self.folder.glob("filter-*.npz"):
            if old.name != name:
                remove(old)
        self._since = time.monotonic()
        self._pause = max(EVERY_S, SHARE * (self._since - begun))

    def table(self, number: int) -> Path:
        """Where the rows of a part lie."""
        return self.folder / f"{number:06d}.parquet"

    def dropped_rows(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of a part that are dropped, and the share of their n-grams that were known."""
        table = pq.read_table(self.table(number))
        table = table.filter(pc.equal(table["text"], ""))
        return table["row"].to_numpy(), table["share"].to_numpy()

    def shares(self, number: int, count: int) -> np.ndarray:
        """The share of known n-grams of each of the rows of a part (count,); NaN for those that were not looked at."""
        table = pq.read_table(self.table(number), columns=["row", "share"])
        found = np.full(count, np.nan)
        found[table["row"].to_numpy()] = table["share"].to_numpy()
        return found

    def texts(self, number: int) -> dict[int, str]:
        """What is left of those pages of a part that lost paragraphs."""
        return texts_left(self.table(number))

    def summary(self) -> dict[str, object]:
        """What the filter was and did."""
        size = {"ngrams": self.expected, "bits": int(self.filter.bits), "hashes": self.filter.hashes}
        rates = {"false_positives_asked": self.rate, "false_positives": self.filter.full**self.filter.hashes}
        return {**size, **rates, "paragraphs": self.bloom.removed, "documents_changed": self.changed}


def texts_left(path: Path) -> dict[int, str]:
    """What is left of those pages in a part's table that lost paragraphs."""
    table = pq.read_table(path, columns=["row", "text"])
    table = table.filter(pc.greater(table["text"], ""))
    return dict(zip(table["row"].to_pylist(), table["text"].to_pylist(), strict=True))


def save_arrays(filter: Filter, path: Path) -> None:
    """Write all arrays of a filter."""
    arrays: dict[str, Any] = {name: value for name, value in vars(filter).items() if isinstance(value, np.ndarray)}
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def load_arrays(filter: Filter, path: Path) -> None:
    """Fill the arrays of a filter of the same size."""
    with np.load(path) as found:
        for name in found.files:
            getattr(filter, name)[...] = found[name]
