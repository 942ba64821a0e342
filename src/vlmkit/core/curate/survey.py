"""What a corpus says of itself: the drops of each rule with bounds and examples, the languages of its documents.

The drop log is read once, without its texts; the examples of a rule are the drops whose ids have the smallest digests,
so that they are the same however the work was done.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from vlmkit.core.io.tables import Row, open_part, parts

EXAMPLES = 3  # of a rule
COLUMNS = ["id", "step", "rule", "value", "threshold"]
Place = tuple[int, int]  # a row: the number of the table's file, and that of the row in it


@dataclass
class Rule:
    """The drops of one rule in one stage: how many, the least and the largest bound that they were outside of and value
    that they had (None where there is none), and examples, each the digest of its id and its place."""

    step: str
    name: str
    count: int = 0
    bounds: tuple[float, float] | None = None
    values: tuple[float, float] | None = None
    examples: list[tuple[int, Place]] = field(default_factory=list)

    def add(self, digests: np.ndarray, rows: np.ndarray, file: int, values: pa.Array, bounds: pa.Array) -> None:
        """Add drops: digests of their ids (N,) and their rows in a file (N,)."""
        self.count += len(rows)
        self.bounds, self.values = wider(self.bounds, bounds), wider(self.values, values)
        best = np.argsort(digests, kind="stable")[:EXAMPLES]
        found = [(int(digests[one]), (file, int(rows[one]))) for one in best]
        self.examples = sorted([*self.examples, *found])[:EXAMPLES]


def wider(ends: tuple[float, float] | None, values: pa.Array) -> tuple[float, float] | None:
    """The least and the largest of values and of what they were before."""
    found = pc.min_max(values).as_py()
    known = [one for one in (*(ends or ()), found["min"], found["max"]) if one is not None]
    return (min(known), max(known)) if known else None


def digests_of(ids: Iterable[str]) -> np.ndarray:
    """A digest of each id, uint64 (N,)."""
    return np.array([xxhash.xxh3_64_intdigest(one) for one in ids], np.uint64)


def survey(dropped: Path) -> list[Rule]:
    """The rules of a drop log by stage and name."""
    found: dict[tuple[str, str], Rule] = {}
    for file, path in enumerate(parts(dropped)):
        start = 0
        for batch in open_part(path, COLUMNS).iter_batches(1 << 16, columns=COLUMNS):
            digests = digests_of(batch["id"].to_pylist())
            for step, name, rows in groups_of(batch):
                taken = batch.take(pa.array(rows))
                rule = found.setdefault((step, name), Rule(step, name))
                rule.add(digests[rows], start + rows, file, taken["value"], taken["threshold"])
            start += batch.num_rows
    return [found[key] for key in sorted(found)]


def groups_of(batch: pa.RecordBatch) -> Iterator[tuple[str, str, np.ndarray]]:
    """The stages and rules of a batch, with the numbers of their rows."""
    steps, rules = (batch[name].dictionary_encode() for name in ("step", "rule"))
    both = steps.indices.to_numpy() * len(rules.dictionary) + rules.indices.to_numpy()
    for one in np.unique(both):
        step, rule = divmod(int(one), len(rules.dictionary))
        yield steps.dictionary[step].as_py(), rules.dictionary[rule].as_py(), np.flatnonzero(both == one)


def rows_at(folder: Path, places: Iterable[Place]) -> dict[Place, Row]:
    """Rows of a table by their places; a row group is read when one of them lies in it."""
    found: dict[Place, Row] = {}
    wanted = sorted(set(places))
    files = parts(folder)
    for file in sorted({one for one, _ in wanted}):
        handle, start = pq.ParquetFile(files[file]), 0
        for group in range(handle.num_row_groups):
            end = start + handle.metadata.row_group(group).num_rows
            inside = [row for one, row in wanted if one == file and start <= row < end]
            if inside:
                table = handle.read_row_group(group).take(pa.array([row - start for row in inside]))
                found |= {(file, row): values for row, values in zip(inside, table.to_pylist(), strict=True)}
            start = end
    return found


def languages_of(documents: Path) -> dict[str, int]:
    """How many documents are in which language, most first; nothing where languages were not told."""
    found: Counter[str] = Counter()
    for path in parts(documents):
        handle = open_part(path, None)
        if "language" in handle.schema_arrow.names:
            for batch in handle.iter_batches(1 << 16, columns=["language"]):
                for one in pc.value_counts(batch["language"]).to_pylist():
                    found[str(one["values"])] += one["counts"]
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))
