"""What other bounds would do to a corpus, from its ledger: no page is read or measured again.

Rules that look at one page alone are judged by their values. Duplicates and poor pages depend on what else is kept, so
they are told anew among the pages that are left, by the same code as in a run: the documents are those that a run with
these bounds would have. A page that comes back brings its text, as the rules leave it, from the drop log.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vlmkit.core.curate.columns import Column
from vlmkit.core.curate.ledger import FOLDER, READ, Sheet, finite
from vlmkit.core.curate.verdicts import Bounds
from vlmkit.core.curate.work import Dropped, Kept, Tally, dropped_row
from vlmkit.core.errors import InputError, nearest
from vlmkit.core.io.tables import Row, iter_rows, parts, read_tables

ALONE = (*READ, "language", "heuristics")  # the stages that look at one page alone
COMPARED = ("dedup", "quality")  # those that are gone through again
LATE = ("mix", "decontaminate", "tokenize")  # those that are not
KEYS = ("kept", "dropped")
WHY = ("step", "rule", "value", "threshold", "matched_id", "left")  # what the drop log has and documents do not


def with_bounds(columns: Sequence[Column], bounds: Mapping[str, str]) -> list[Column]:
    """The rules of a ledger with other bounds: a number, or LOW..HIGH with either end left out.

    One number is the bound of a rule that has one, or the lower of two.

    Raises:
        InputError: there is no such rule, it has no bound that could be another, or this is none.
    """
    names = [one.name for one in columns if one.tunable]
    for name in bounds:
        if name not in names:
            known = next((one for one in columns if one.name == name), None)
            what = f"{name} has no bound" if known else f"the ledger has no rule '{name}'"
            fix = f"one of {', '.join(names)}" if known else nearest(name, names)
            raise InputError(what, where="--set", fix=fix)
    return [bounded(one, bounds[one.name]) if one.name in bounds else one for one in columns]


def bounded(column: Column, word: str) -> Column:
    """A rule with the bounds that a word says."""
    low, dots, high = word.partition("..")
    try:
        ends = [float(text) if text.strip() else None for text in (low, high)]
    except ValueError:
        ends = [None, None]
    if ends == [None, None] or any(end is not None and math.isnan(end) for end in ends):
        raise InputError(f"'{word}' is no bound of {column.name}", where="--set", fix="0.2, 50..100000, 50.. or ..0.2")
    if not dots and math.isinf(column.low):
        ends.reverse()
    least, most = (known if end is None else end for end, known in zip(ends, (column.low, column.high), strict=True))
    found = replace(column, low=least, high=most)
    if found.low > found.high or found.low == math.inf or found.high == -math.inf:
        what = f"{column.name} would keep nothing from {found.low:g} to {found.high:g}"
        raise InputError(what, where="--set", fix="the lower bound first: 50..100000")
    if column.stage in COMPARED:
        check_compared(found)
    return found


def check_compared(column: Column) -> None:
    """Refuse what stages that compare pages cannot go by: another bound than their one, or none."""
    low, high = math.isfinite(column.low), math.isfinite(column.high)
    bound, fix = (column.high, "..0.8") if column.stage == "dedup" else (column.low, "0.8..")
    if (low, high) != ((False, True) if column.stage == "dedup" else (True, False)):
        raise InputError(f"{column.name} has one bound", where="--set", fix=f"{column.name}={fix}")
    if column.stage == "dedup" and not 0 <= bound <= 1:
        raise InputError(f"{bound:g} is no fraction", where=f"--set {column.name}", fix="a number from 0 to 1")


def first_drops(table: pa.Table, columns: Sequence[Column]) -> tuple[np.ndarray, np.ndarray]:
    """For rows of a ledger (n,) the number of the first column that drops each, or -1; and of which rows that no column
    drops a value is missing."""
    first, missing = np.full(table.num_rows, -1), np.zeros(table.num_rows, bool)
    for number, column in enumerate(columns):
        values = table[column.name]
        there = values.is_valid().to_numpy()
        if column.stage in READ:
            outside = there
        else:
            outside = there & ~column.inside(values.to_numpy())
            missing |= ~there
        first[(first < 0) & outside] = number
    return first, missing & (first < 0)


def alone(sheet: Sheet) -> list[Column]:
    """The columns of rules that look at one page alone."""
    return [column for column in sheet.columns if column.stage in ALONE]


def compared(sheet: Sheet) -> list[Column]:
    """The columns of rules that compare pages, but for the mix and tasks."""
    return [column for column in sheet.columns if column.stage in COMPARED]


def ends(column: Column, when: str = "") -> dict[str, float | None]:
    """The bounds of a rule, by name."""
    return {f"low{when}": finite(column.low), f"high{when}": finite(column.high)}


def changes(old: Sheet, new: Sheet) -> list[dict[str, Any]]:
    """The rules whose bounds are others, with those of before."""
    pairs = [pair for pair in zip(old.columns, new.columns, strict=True) if pair[0] != pair[1]]
    return [{"rule": b.name, **ends(b), **ends(a, "_before")} for a, b in pairs]


def corpus_of(ledger: Path, out: Path | None) -> Path:
    """The folder of the corpus that is named, or whose ledger is.

    Raises:
        InputError: what is to be written would lie in it, or around it.
    """
    named = ledger.resolve()
    corpus = named.parent if named.name == FOLDER and not (named / FOLDER).is_dir() else ledger
    here, there = corpus.resolve(), out.resolve() if out else None
    if there and (here in (there, *there.parents) or there in here.parents):
        raise InputError("--out lies inside the corpus, or around it", where=str(out), fix=f"a folder beside {corpus}")
    return corpus


@dataclass(frozen=True)
class Fates:
    """What becomes of the rows of a part (n,) before they are compared: the number of the first column that drops each,
    before and after (-1: none), and which came back so that a value is missing, and stay dropped."""

    before: np.ndarray
    after: np.ndarray
    unknown: np.ndarray

    @classmethod
    def of(cls, table: pa.Table, old: Sequence[Column], new: Sequence[Column]) -> "Fates":
        """The fates of the rows of a ledger by old and new bounds."""
        (before, _), (after, missing) = first_drops(table, old), first_drops(table, new)
        unknown = (before >= 0) & missing
        return cls(before, np.where(unknown, before, after), unknown)


def count(first: np.ndarray, columns: Sequence[Column], stages: Sequence[str], tally: Tally) -> None:
    """Count the pages that stages keep and drop, and the drops of rules, by the column that drops each (n,)."""
    left = len(first)
    gone = np.bincount(first[first >= 0], minlength=len(columns)).tolist()
    for stage in ("read", *stages):
        for column, number in zip(columns, gone, strict=True):
            if column.stage == stage and number:
                tally.dropped[stage] += number
                tally.rules[column.rule] += number
                left -= number
        tally.kept[stage] += left


def survey(corpus: Path, old: Sheet, new: Sheet) -> dict[str, Any]:
    """What new bounds keep, by the ledger alone: exact up to the stages that compare pages. Of those the verdicts of
    the run are taken, in which pages that it did not compare count as kept."""
    values: dict[str, Any] = dict.fromkeys(("documents", "documents_before", "gained", "lost", "unknown"), 0)
    tallies = {name: Tally() for name in ("documents", "documents_before")}
    stages = [stage for stage in old.stages if stage not in LATE]
    for path in parts(corpus / FOLDER):
        table = read_tables(path)
        fates = Fates.of(table, alone(old), alone(new))
        was, stays = fates.before < 0, fates.after < 0
        values["unknown"] += int(fates.unknown.sum())
        values["gained"] += int((stays & ~was).sum())
        values["lost"] += int((was & ~stays).sum())
        for name, sheet, first in (("documents", new, fates.after), ("documents_before", old, fates.before)):
            columns = alone(sheet)
            late, _ = first_drops(table, compared(sheet))
            both = np.where((first < 0) & (late >= 0), late + len(columns), first)
            count(both, [*columns, *compared(sheet)], stages, tallies[name])
            values[name] += int((both < 0).sum())
    others = values["gained"] or values["lost"] or compared(old) != compared(new)
    now, then = (tallies[name].funnel(stages) for name in ("documents", "documents_before"))
    rows = zip(now["stages"], then["stages"], strict=True)  # type: ignore[call-overload]
    funnel = [
        {"name": a["name"]} | {key: a[key] for key in KEYS} | {f"{key}_before": b[key] for key in KEYS} for a, b in rows
    ]
    values |= {"estimated": bool(others and compared(old)), "set": changes(old, new), "stages": funnel}
    return values | {"rules": now["rules"], "rules_before": then["rules"]}


def bounds_of(sheet: Sheet, keep: float | None) -> Bounds:
    """By what duplicates and poor pages are told."""
    at = {column.rule: column for column in sheet.columns if column.stage in COMPARED}
    near, bloom, poor = (at.get(rule) for rule in ("minhash_duplicate", "bloom_duplicate", "quality_filter"))
    return Bounds(
        near.high if near else 0.0, sheet.bloom_rate, bloom.high if bloom else 0.0,
        poor.low if poor and keep is None else None, keep,
    )  # fmt: skip


class Source:
    """The rows of a corpus, to be taken part by part in the order of the ledger; passes of a mix are left out."""

    def __init__(self, corpus: Path) -> None:
        self._streams = {name: iter_rows(corpus / name, batch=256) for name in ("documents", "dropped")}
        self._next: dict[str, Row | None] = {name: next(rows, None) for name, rows in self._streams.items()}

    def take(self, ids: Sequence[str]) -> tuple[dict[str, Row], dict[str, Row]]:
        """The documents and the dropped rows of a part by their ids."""
        wanted, found = set(ids), []
        for name, rows in self._streams.items():
            mine: dict[str, Row] = {}
            while (row := self._next[name]) is not None and row["id"] in wanted:
                mine[str(row["id"])] = row
                self._next[name] = next(rows, None)
            found.append(mine)
        documents, dropped = found
        if len(documents) + len(dropped) != len(ids):
            raise InputError(
                f"{len(ids) - len(documents) - len(dropped)} rows of the ledger are in neither documents/ nor "
                "dropped/, or have the id of another", where=f"from {ids[0]} on",
                fix="take the corpus as `vlmkit curate` wrote it",
            )  # fmt: skip
        return documents, dropped


def rejudged(table: pa.Table, fates: Fates, sheet: Sheet, source: Source) -> Iterator[Kept | Dropped]:
    """The pages of a part by new bounds, with their texts, in order."""
    documents, dropped = source.take(table["id"].to_pylist())
    columns = alone(sheet)
    names = [column.name for column in sheet.columns if column in columns or column.stage == "quality"]
    for number, notes in enumerate(table.to_pylist()):
        name = str(notes["id"])
        known = {column: float(notes[column]) for column in names if notes[column] is not None}
        old = documents.get(name) or dropped[name]
        at = int(fates.after[number])
        if at >= 0 and (at == fates.before[number] or fates.unknown[number]):
            column = columns[at]
            own = column.tunable and old["rule"] == column.rule and old["value"] in (None, known[column.name])
            drop = column.drop(known[column.name]) if own else None
            again = old if drop is None else old | {"threshold": float(drop.threshold)}
            yield Dropped(again, known)
            continue
        row = {key: value for key, value in old.items() if key not in WHY and value is not None}
        row = {key: row.get(key) for key in ("id", "text", "url", "source", "metadata")} | row
        if at >= 0:
            why = columns[at].drop(known[columns[at].name])
            assert why is not None
            left = {"left": old["left"]} if old.get("left") else {}
            yield Dropped(dropped_row(row, columns[at].stage, why) | left, known)
        else:
            yield Kept(row | {"text": old.get("left") or row["text"]}, given=False, notes=known)
