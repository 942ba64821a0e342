"""From the parts of the work to the corpus: duplicates found across all parts, ids made unique, tables written.

Parts are taken in their order, so the result does not depend on who worked on which part, or when.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlmkit.core.curate import minhash
from vlmkit.core.curate.columns import Column
from vlmkit.core.curate.dedup import Matches, candidates, exact_matches, near_matches
from vlmkit.core.curate.ledger import FOLDER, Sheet, first_columns, ledger_table
from vlmkit.core.curate.parts import Done
from vlmkit.core.curate.quality import good_enough
from vlmkit.core.curate.repeated import Repeated
from vlmkit.core.curate.rules import Drop
from vlmkit.core.curate.work import Tally, dropped_row
from vlmkit.core.io.files import atomic
from vlmkit.core.io.progress import log, progress
from vlmkit.core.io.spool import Spool
from vlmkit.core.io.tables import from_rows, iter_rows, read_tables, write_table

STEPS = (
    "",
    "dedup",
    "dedup",
    "dedup",
    "quality",
    "mix",
    "decontaminate",
)  # the stage of each rule below; none for a row that is kept
RULES = ("", "exact_duplicate", "minhash_duplicate", "bloom_duplicate", "quality_filter", "mix", "contaminated")
KEPT, EXACT, NEAR, BLOOM, POOR, SPARE, CONTAMINATED = range(len(RULES))


@dataclass
class Verdicts:
    """For each row of all parts in order (N,): by which of RULES it is dropped, the value that was measured, and the
    row that it repeats (-1: none); the bound of each rule, for all rows or for each; what became of pages that lost
    paragraphs; names of what a row matches that is no row; how often a kept row is written (None: once); and for rows
    that were compared the highest similarity with an earlier one that was found (NaN: not compared)."""

    rule: np.ndarray
    value: np.ndarray
    match: np.ndarray
    bounds: dict[int, float | np.ndarray]
    repeated: Repeated | None = None
    names: dict[int, str] = field(default_factory=dict)
    copies: np.ndarray | None = None
    highest: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, count: int) -> "Verdicts":
        """All rows kept."""
        return cls(
            np.zeros(count, np.int8), np.zeros(count), np.full(count, -1), {EXACT: 1.0},
            highest=np.full(count, np.nan),
        )  # fmt: skip

    def write(self, path: Path) -> None:
        """Write what was found about duplicates, whole or not at all."""
        bounds = np.array(list(self.bounds.items()))
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, rule=self.rule, value=self.value, match=self.match, bounds=bounds, highest=self.highest)

    @classmethod
    def read(cls, path: Path) -> "Verdicts":
        """What `write` wrote."""
        with np.load(path) as found:
            bounds: dict[int, float | np.ndarray] = {int(rule): float(bound) for rule, bound in found["bounds"]}
            return cls(found["rule"], found["value"], found["match"], bounds, highest=found["highest"])

    def drop(self, rows: np.ndarray, rule: int, values: np.ndarray) -> None:
        """Drop rows by a rule."""
        self.rule[rows], self.value[rows] = rule, values

    def texts(self, number: int) -> dict[int, str]:
        """What is left of those rows of a part that lost paragraphs."""
        return self.repeated.texts(number) if self.repeated else {}

    def columns(self, stages: Sequence[str], dedup: Sequence[str], quality: str) -> list[Column]:
        """The ledger's columns of the rules that compare rows; `quality` is the name of that of the scores."""
        ran = {EXACT: "exact" in dedup, NEAR: "minhash" in dedup, BLOOM: "bloom" in dedup}
        ran |= {rule: STEPS[rule] in stages for rule in (POOR, SPARE, CONTAMINATED)}
        ends = {rule: bound for rule, bound in self.bounds.items() if not isinstance(bound, np.ndarray)}
        found = []
        for rule in (one for one, did in ran.items() if did):
            name, tunable = quality if rule == POOR else RULES[rule], rule in (NEAR, BLOOM, POOR)
            column = Column(name, STEPS[rule], RULES[rule], tunable=tunable)
            if rule in ends:
                column = replace(column, low=ends[rule]) if rule == POOR else replace(column, high=ends[rule])
            found.append(replace(column, strict=rule in (EXACT, NEAR, CONTAMINATED)))
        return found

    def late(self, number: int, start: int, count: int) -> dict[str, np.ndarray]:
        """The values of rules that compare rows for those of a part (count,), NaN where there is none."""
        rows = slice(start, start + count)
        rule = self.rule[rows]
        found = {RULES[one]: np.where(rule == one, self.value[rows], np.nan) for one in (SPARE, CONTAMINATED)}
        found[RULES[EXACT]] = (rule == EXACT).astype(float)
        found[RULES[NEAR]] = np.where(rule == NEAR, self.value[rows], self.highest[rows])
        if self.repeated:
            found[RULES[BLOOM]] = self.repeated.shares(number, count)
        return found

    def reason(self, row: int) -> Drop:
        """Why a row is dropped."""
        rule = int(self.rule[row])
        bound = self.bounds[rule]
        return Drop(RULES[rule], float(self.value[row]), float(bound[row] if isinstance(bound, np.ndarray) else bound))

    def count(self, tally: Tally, stages: Sequence[str], chars: np.ndarray) -> None:
        """Count the drops of each stage and rule, and what the stages keep of rows of so many characters (N,)."""
        left = np.ones(self.rule.size, bool)
        for stage in stages:
            for rule, name in enumerate(RULES):
                gone = self.rule == rule
                if STEPS[rule] == stage and gone.any():
                    tally.dropped[stage] += int(gone.sum())
                    tally.rules[name] += int(gone.sum())
                    left &= ~gone
            tally.kept[stage], tally.chars[stage] = int(left.sum()), int(chars[left].sum())


@dataclass(frozen=True)
class Bounds:
    """By what duplicates and poor pages are told: similarity of near-duplicates, rate and bound of the Bloom filter,
    and the least quality or the share that is kept."""

    similarity: float
    bloom_rate: float
    bloom_threshold: float
    quality_threshold: float | None
    quality_keep: float | None


def judge(
    parts: Sequence[Done], bounds: Bounds, *, dedup: tuple[str, ...], quality: bool, state: Path
) -> tuple[Verdicts, dict[str, object]]:
    """Find duplicates and poor pages among the kept rows of all parts; what is told of the Bloom filter."""
    found = find_duplicates(parts, dedup, threshold=bounds.similarity, folder=state / "duplicates")
    told: dict[str, object] = {}
    if "bloom" in dedup:
        told["bloom"] = find_repeated(
            parts, found, rate=bounds.bloom_rate, threshold=bounds.bloom_threshold, folder=state / "bloom"
        )
    if quality:
        find_poor(parts, found, threshold=bounds.quality_threshold, keep=bounds.quality_keep)
    return found, told


def find_duplicates(parts: Sequence[Done], dedup: tuple[str, ...], *, threshold: float, folder: Path) -> Verdicts:
    """Duplicates among the kept rows of all parts; kept below a folder, where a resumed run finds them."""
    sheet = folder / "found.npz"
    if sheet.is_file():
        return Verdicts.read(sheet)
    count = sum(part.kept for part in parts)
    found = Verdicts.of(count)
    if "exact" in dedup and count:
        found.match = exact_matches(np.concatenate([part.array("digests") for part in parts]))
        found.drop(np.flatnonzero(found.match >= 0), EXACT, np.ones(int((found.match >= 0).sum())))
    if "minhash" in dedup and count:
        compared = np.flatnonzero(found.rule == KEPT)
        near = _near(parts, compared, count, threshold, folder / "shingles.bin")
        found.highest[compared] = near.highest[compared]
        rows = np.flatnonzero(near.match >= 0)
        found.match[rows], found.bounds[NEAR] = near.match[rows], threshold
        found.drop(rows, NEAR, near.similarity[rows])
        report(near)
    found.write(sheet)
    return found


def find_repeated(
    parts: Sequence[Done], found: Verdicts, *, rate: float, threshold: float, folder: Path
) -> dict[str, object]:
    """Take out the paragraphs, and drop the pages, whose n-grams earlier pages have; what the filter was and did."""
    expected = sum(int(part.array("ngrams").sum()) for part in parts)
    repeated = Repeated(folder, expected=expected, rate=rate, threshold=threshold)
    starts = np.cumsum([0, *(part.kept for part in parts)])
    alone = [np.flatnonzero(found.rule[a:b] == KEPT) for a, b in itertools.pairwise(starts)]
    repeated.work([texts_of([part], rows) for part, rows in zip(parts, alone, strict=True)])
    found.bounds[BLOOM], found.repeated = threshold, repeated
    for number, start in enumerate(starts[:-1]):
        rows, shares = repeated.dropped_rows(number)
        found.drop(start + rows, BLOOM, shares)
    return repeated.summary()


def find_poor(parts: Sequence[Done], found: Verdicts, *, threshold: float | None, keep: float | None) -> None:
    """Drop rows that repeat no other and whose quality is too low."""
    scores = np.concatenate([np.zeros(0), *(part.array("quality") for part in parts)])
    alone = np.flatnonzero(found.rule == KEPT)
    kept, found.bounds[POOR] = good_enough(scores[alone], threshold=threshold, keep=keep)
    found.drop(alone[~kept], POOR, scores[alone[~kept]])


def _near(parts: Sequence[Done], rows: np.ndarray, count: int, threshold: float, spool: Path) -> Matches:
    columns = (np.concatenate([part.array("bands")[band] for part in parts]) for band in range(minhash.BANDS))
    first = next(columns)
    rows = rows[first[rows] != 0]
    pairs, crowds = candidates((column for group in ([first], columns) for column in group), rows)
    wanted = np.unique(np.concatenate([pairs.reshape(-1), *crowds]))
    shingles = Spool(spool, ((row, minhash.shingles(text)) for row, text in texts_of(parts, wanted)))
    return near_matches(pairs, crowds, count=count, threshold=threshold, shingles_of=shingles.get)


def report(near: Matches) -> None:
    """Say what is out of the ordinary: giant clusters, and crowds that were not compared in full."""
    giants = [size for size in near.clusters if size > 1000]
    if giants:
        log.warning(
            "%d clusters of near-duplicates have over 1000 documents, the largest %d; in them only documents with a "
            "verified match among the kept ones are dropped", len(giants), giants[0],
        )  # fmt: skip
    if near.uncompared:
        log.warning("%d documents share a band with too many others to be compared with all", near.uncompared)


def texts_of(parts: Sequence[Done], rows: np.ndarray) -> Iterator[tuple[int, str]]:
    """Texts of some kept rows (numbers in order), read part by part."""
    yield from ((row, str(value)) for row, value in values_of(parts, rows, "text"))


def values_of(parts: Sequence[Done], rows: np.ndarray, column: str) -> Iterator[tuple[int, object]]:
    """Values of some kept rows (numbers in order), read part by part."""
    start = 0
    for part in parts:
        inside = set(rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + part.kept)].tolist())
        if inside:
            for row, values in enumerate(iter_rows(part.files("kept"), columns=[column], batch=256), start):
                if row in inside:
                    yield row, values[column]
        start += part.kept


def lengths_of(parts: Sequence[Done], found: Verdicts) -> np.ndarray:
    """Characters of what is left of each kept row of all parts in order (N,)."""
    lengths = [part.array("chars").copy() for part in parts]
    for number, some in enumerate(lengths):
        for row, text in found.texts(number).items():
            some[row] = len(text)
    return np.concatenate([np.zeros(0, np.int64), *lengths])


def unique_ids(parts: Sequence[Done]) -> tuple[dict[int, str], dict[int, str], int]:
    """Endings for ids that occurred before, by kept row and by dropped row, and how many of them were given.

    The first row with an id keeps it; the n-th gets the ending `#n`. Kept rows of all parts come before dropped ones.
    """
    kept = np.concatenate([np.empty(0, np.uint64), *(part.array("ids") for part in parts)])
    dropped = np.concatenate([np.empty(0, np.uint64), *(part.array("drop_ids") for part in parts)])
    given = np.concatenate([np.empty(0, np.bool_), *(part.array("given") for part in parts)])
    every = np.concatenate([kept, dropped])
    _, first, inverse, counts = np.unique(every, return_index=True, return_inverse=True, return_counts=True)
    again = np.flatnonzero((counts[inverse] > 1) & (first[inverse] != np.arange(len(every))))
    seen: Counter[int] = Counter()
    endings: dict[int, str] = {}
    for row in again.tolist():
        seen[inverse[row]] += 1
        endings[row] = f"#{seen[inverse[row]] + 1}"
    here = {row: ending for row, ending in endings.items() if row < len(kept)}
    there = {row - len(kept): ending for row, ending in endings.items() if row >= len(kept)}
    return here, there, int(given[list(here)].sum()) if here else 0


def warn_of_ids(given: int) -> None:
    """Say that ids were given twice."""
    if given:
        log.warning("%d documents came with an id that another one has; theirs end in #2, #3 and so on", given)


def write_corpus(
    parts: Sequence[Done], verdicts: Verdicts, *, folder: Path, sheet: Sheet | None = None
) -> tuple[int, int]:
    """Write documents/, dropped/ and, where it has a sheet, ledger/ below a folder; how many rows of the first two.

    Files that are there already are from this very run, killed before its end, and are left as they are.
    """
    endings, drop_endings, given = unique_ids(parts)
    warn_of_ids(given)
    matched = np.unique(verdicts.match[verdicts.match >= 0])
    ids = {row: f"{value}{endings.get(row, '')}" for row, value in values_of(parts, matched, "id")}
    documents, dropped = _Files(folder / "documents", "documents"), _Files(folder / "dropped", "dropped")
    ledger = _Files(folder / FOLDER, FOLDER)
    sheet = sheet and replace(sheet, columns=[*first_columns(parts), *sheet.columns])
    row = drop_row = 0
    for number, part in enumerate(parts):
        if sheet:
            late = verdicts.late(number, row, part.kept)
            ledger.add(ledger_table(part, sheet.columns, late, (endings, drop_endings), (row, drop_row)))
        for path in part.files("dropped"):
            table = read_tables(path)
            dropped.add(with_endings(table, drop_row, drop_endings))
            drop_row += table.num_rows
        start, texts = row, verdicts.texts(number)
        for path in part.files("kept"):
            table = with_endings(read_tables(path), row, endings)
            kept = pa.array(verdicts.rule[row : row + table.num_rows] == KEPT)
            documents.add(with_texts(table, row - start, texts).filter(kept))
            dropped.add(dropped_table(table, row, verdicts, ids))
            row += table.num_rows
        progress("writing", number + 1, len(parts), "parts", documents=documents.rows)
    write_copies(parts, verdicts, endings, documents)
    documents.close()
    dropped.close()
    if sheet:
        ledger.close()
        sheet.write(folder / FOLDER)
    return documents.rows, dropped.rows


def write_copies(parts: Sequence[Done], verdicts: Verdicts, endings: dict[int, str], documents: "_Files") -> None:
    """Write kept rows again as often as they are wanted, pass after pass; ids of the n-th pass end in `#pass-n`."""
    if verdicts.copies is None:
        return
    for turn in range(2, int(verdicts.copies[verdicts.rule == KEPT].max(initial=1)) + 1):
        row = 0
        wanted = (verdicts.rule == KEPT) & (verdicts.copies >= turn)
        for number, part in enumerate(parts):
            start, texts = row, verdicts.texts(number)
            for path in part.files("kept"):
                count = pq.read_metadata(path).num_rows
                if wanted[row : row + count].any():
                    table = with_texts(with_endings(read_tables(path), row, endings), row - start, texts)
                    table = table.filter(pa.array(wanted[row : row + count]))
                    documents.add(with_endings(table, 0, dict.fromkeys(range(table.num_rows), f"#pass-{turn}")))
                row += count


def with_endings(table: pa.Table, start: int, endings: dict[int, str]) -> pa.Table:
    """A table whose rows begin at number `start`, with the endings of its ids."""
    inside = {row - start: endings[row] for row in range(start, start + table.num_rows) if row in endings}
    if not inside:
        return table
    ids = [f"{value}{inside.get(place, '')}" for place, value in enumerate(table["id"].to_pylist())]
    return table.set_column(table.schema.get_field_index("id"), "id", pa.array(ids, pa.string()))


def with_texts(table: pa.Table, start: int, texts: dict[int, str]) -> pa.Table:
    """A table whose rows begin at number `start`, with the texts that are left of them."""
    inside = {row - start: texts[row] for row in range(start, start + table.num_rows) if row in texts}
    if not inside:
        return table
    values = [inside.get(place, value) for place, value in enumerate(table["text"].to_pylist())]
    return table.set_column(table.schema.get_field_index("text"), "text", pa.array(values, pa.string()))


def dropped_table(table: pa.Table, start: int, verdicts: Verdicts, ids: dict[int, str]) -> pa.Table:
    """The rows of a table that are dropped, as rows of the drop log."""
    places = np.flatnonzero(verdicts.rule[start : start + table.num_rows] != KEPT)
    drops = [
        dropped_row(
            row,
            STEPS[int(verdicts.rule[start + place])],
            verdicts.reason(start + place),
            matched_id=verdicts.names.get(start + place, ids.get(int(verdicts.match[start + place]))),
        )
        for row, place in zip(table.take(pa.array(places)).to_pylist(), places.tolist(), strict=True)
    ]
    return from_rows(drops, "dropped")


class _Files:
    """Numbered parquet files of one kind; tables without rows are passed over, but one file there is at least."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self.rows = self.count = 0

    def add(self, table: pa.Table) -> None:
        """Write one table."""
        if table.num_rows:
            self._write(table)
            self.rows += table.num_rows

    def close(self) -> None:
        """Write an empty table if there is none."""
        if not self.count:
            self._write(from_rows([], self.kind))

    def _write(self, table: pa.Table) -> None:
        path = self.folder / f"part-{self.count:05d}.parquet"
        if not path.is_file():
            write_table(path, table, kind=self.kind)
        self.count += 1
