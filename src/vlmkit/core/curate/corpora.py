"""Corpora beside one another: what is in one of them and was dropped on the way to another, and by which rule.

Pages are the same when their ids are; a page without an id of its own has one made of its source and content, so
corpora made of the same input by different recipes share their ids. Where an id came several times its pages are told
apart by their number alone. Ids are held as 64-bit digests: of a hundred million pages two have the same one with a
probability of 3e-4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlmkit.core.curate.survey import EXAMPLES, digests_of, rows_at
from vlmkit.core.io.tables import Row, open_part, parts

RULES = 30  # rules of which a difference gives examples
COLUMNS = "id", "url", "source", "step", "rule", "value", "threshold", "matched_id", "text"
EXCERPT = 240  # characters of an example's text
Line = tuple[str, list[float | None]]  # a name, and a number of each corpus


@dataclass(frozen=True)
class Corpus:
    """A corpus: its name and folder, digests of the ids of documents (N,) and dropped pages (N,), sorted, the rule of
    each dropped page as a number, its place as the numbers of file and row (N, 2), and the names of the rules."""

    name: str
    folder: Path
    kept: np.ndarray
    gone: np.ndarray
    rules: np.ndarray
    places: np.ndarray
    names: Sequence[str]


def read_corpus(name: str, folder: Path) -> Corpus:
    """The ids of a corpus, without its texts."""
    kept = [np.zeros(0, np.uint64)]
    for path in parts(folder / "documents"):
        kept += [digests_of(one["id"].to_pylist()) for one in batches(path, ["id"])]
    gone, rules, places = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], [np.zeros((0, 2), np.int64)]
    known: dict[str, int] = {}
    for file, path in enumerate(parts(folder / "dropped")):
        start = 0
        for batch in batches(path, ["id", "rule"]):
            rows = np.arange(start, start + batch.num_rows)
            start += batch.num_rows
            gone.append(digests_of(batch["id"].to_pylist()))
            rules.append(np.array([known.setdefault(one, len(known)) for one in batch["rule"].to_pylist()], np.int64))
            places.append(np.stack([np.full(rows.size, file), rows], axis=1))
    ids, numbers, where = np.concatenate(gone), np.concatenate(rules), np.concatenate(places)
    order = np.argsort(ids, kind="stable")
    return Corpus(name, folder, np.sort(np.concatenate(kept)), ids[order], numbers[order], where[order], list(known))


def batches(path: Path, columns: Sequence[str]) -> Any:
    """Some columns of a file in batches."""
    return open_part(path, columns).iter_batches(1 << 16, columns=list(columns))


def difference(one: Corpus, other: Corpus) -> dict[str, object]:
    """The documents of one corpus that another one dropped: how many, by which rules, with examples of each; `pages` of
    the two that have the same id; documents of the one that are `unknown` to the other."""
    lost = np.isin(other.gone, one.kept)
    counts = np.bincount(other.rules[lost], minlength=len(other.names))
    ranked = sorted((-int(count), name, number) for number, (name, count) in
                    enumerate(zip(other.names, counts, strict=True)) if count)  # fmt: skip
    mine, theirs = (np.concatenate([corpus.kept, corpus.gone]) for corpus in (one, other))
    return {
        "kept_by": one.name,
        "dropped_by": other.name,
        "pages": int(np.isin(mine, theirs).sum()),
        "unknown": int(np.isin(one.kept, theirs, invert=True).sum()),
        "documents": int(lost.sum()),
        "rules": {name: -count for count, name, _ in ranked},
        "examples": examples(other, lost, [number for _, _, number in ranked[:RULES]]),
    }


def examples(corpus: Corpus, lost: np.ndarray, rules: Sequence[int]) -> list[Row]:
    """Pages that a corpus dropped, a few of each rule: those whose ids have the smallest digests."""
    places: list[tuple[int, int]] = []
    for rule in rules:
        rows = np.flatnonzero(lost & (corpus.rules == rule))[:EXAMPLES]
        places += [(file, row) for file, row in corpus.places[rows].tolist()]
    found = rows_at(corpus.folder / "dropped", places)
    return [{name: found[place][name] for name in COLUMNS[:-1]} | {"text": start(found[place])} for place in places]


def start(row: Row) -> str:
    """The beginning of a page's text."""
    text = str(row["text"] or "")
    return text if len(text) <= EXCERPT else text[:EXCERPT] + "…"


def side_by_side(corpora: Sequence[Mapping[str, Any]]) -> tuple[list[Line], list[Line]]:
    """Of what --json says of corpora: by stage, the share that each corpus keeps of the pages that it read (None where
    the stage did not run); by rule, the drops of each, most first."""
    stages = dict.fromkeys(stage["name"] for one in corpora for stage in one["stages"])
    rules = dict.fromkeys(rule for one in corpora for rule in one["rules"])
    drops: list[Line] = [(name, [one["rules"].get(name, 0) for one in corpora]) for name in rules]
    drops.sort(key=lambda line: (-max(one or 0 for one in line[1]), line[0]))
    return [(name, [share_of(one, name) for one in corpora]) for name in stages], drops


def share_of(corpus: Mapping[str, Any], name: str) -> float | None:
    """The share of the pages read that a stage keeps; None where the stage did not run."""
    stage = next((one for one in corpus["stages"] if one["name"] == name), None)
    first = corpus["stages"][0]
    read = first["kept"] + first["dropped"]
    return None if stage is None or not read else stage["kept"] / read
