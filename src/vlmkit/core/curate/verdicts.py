"""What becomes of pages among all others: duplicates found across all parts, pages of poor quality, and why each goes.

Parts are taken in their order, so the result does not depend on who worked on which part, or when.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vlmkit.core.curate import minhash
from vlmkit.core.curate.columns import Column
from vlmkit.core.curate.dedup import Matches, candidates, exact_matches, near_matches
from vlmkit.core.curate.parts import Done, texts_of
from vlmkit.core.curate.quality import good_enough
from vlmkit.core.curate.repeated import Repeated
from vlmkit.core.curate.rules import Drop
from vlmkit.core.curate.work import Tally
from vlmkit.core.io.files import atomic
from vlmkit.core.io.progress import log
from vlmkit.core.io.spool import Spool

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
    if "minhash" in dedup:
        found.bounds[NEAR] = threshold
    if "exact" in dedup and count:
        found.match = exact_matches(np.concatenate([part.array("digests") for part in parts]))
        found.drop(np.flatnonzero(found.match >= 0), EXACT, np.ones(int((found.match >= 0).sum())))
    if "minhash" in dedup and count:
        compared = np.flatnonzero(found.rule == KEPT)
        near = _near(parts, compared, count, threshold, folder / "shingles.bin")
        found.highest[compared] = near.highest[compared]
        rows = np.flatnonzero(near.match >= 0)
        found.match[rows] = near.match[rows]
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


def lengths_of(parts: Sequence[Done], found: Verdicts) -> np.ndarray:
    """Characters of what is left of each kept row of all parts in order (N,)."""
    lengths = [part.array("chars").copy() for part in parts]
    for number, some in enumerate(lengths):
        for row, text in found.texts(number).items():
            some[row] = len(text)
    return np.concatenate([np.zeros(0, np.int64), *lengths])
