"""What was found of evaluation tasks: which documents go, and for each task which items they hold, and how."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from vlmkit.core.curate.decontaminate import Look, Piece
from vlmkit.core.curate.verdicts import CONTAMINATED, Verdicts
from vlmkit.core.io.tables import Row, write_table

EXAMPLES = 5
KINDS = ("with_answer", "question_only", "context_only")  # the telling ones first
FOLDER = "decontamination"


def find_contaminated(
    results: Iterable[Mapping[str, np.ndarray]], about: Sequence[Piece], found: Verdicts, *, threshold: float
) -> tuple[dict[str, list[Row]], dict[str, set[int]]]:
    """Drop the documents that hold items, each by the piece that it holds the most of; by task all matches, in order of
    the documents, and the documents."""
    found.bounds[CONTAMINATED] = threshold
    matches: dict[str, list[Row]] = {}
    documents: dict[str, set[int]] = {}
    for result in results:
        best: dict[int, tuple[float, bool, int, str]] = {}
        hits = zip(*(result[name].tolist() for name in ("row", "piece", "share", "item", "answered")), strict=True)
        for number, (row, place, share, item, answered) in enumerate(hits):
            piece = about[place]
            kind = KINDS[0] if answered else KINDS[1] if piece.kind == "question" else KINDS[2]
            here = (share, answered, -place, f"{piece.task}#{item}")
            best[row] = max(best.get(row, here), here)
            documents.setdefault(piece.task, set()).add(row)
            shown = {"id": str(result["id"][number]), "kind": kind, "value": share, "text": str(result["text"][number])}
            matches.setdefault(piece.task, []).extend(
                {"item": one, **shown, "kind": kind if one == item or not answered else KINDS[1]} for one in piece.items
            )
        for row, (share, _, _, name) in best.items():
            found.drop(np.array([row]), CONTAMINATED, np.array([share]))
            found.names[row] = name
    return matches, documents


def report(looks: Mapping[str, Look], matches: Mapping[str, list[Row]], documents: Mapping[str, set[int]]) -> list[Row]:
    """A row a task: how many items there are, can be looked for, and are found in some document, by the most telling
    way in which each is found; how many documents hold one; and every match."""
    rows: list[Row] = []
    for task, look in looks.items():
        mine = matches.get(task, [])
        kinds: dict[object, int] = {}
        for match in mine:
            kinds[match["item"]] = min(kinds.get(match["item"], len(KINDS)), KINDS.index(str(match["kind"])))
        counts = {name: sum(kind == place for kind in kinds.values()) for place, name in enumerate(KINDS)}
        rows.append(
            {
                "task": task, "items": look.items, "testable": len(look.testable), "short": look.short,
                "common": look.common, "found": len(kinds), **counts,
                "documents": len(documents.get(task, ())), "matches": mine,
            }
        )  # fmt: skip
    return rows


def write_report(rows: Sequence[Row], folder: Path) -> dict[str, Row]:
    """Write the table; the same by task with a few examples in the place of all matches."""
    write_table(folder / FOLDER / "part-00000.parquet", rows, kind=FOLDER)
    short = ({name: value for name, value in row.items() if name not in ("task", "matches")} for row in rows)
    examples = (list(row["matches"])[:EXAMPLES] for row in rows)  # type: ignore[call-overload]
    return {str(row["task"]): {**one, "examples": few} for row, one, few in zip(rows, short, examples, strict=True)}
