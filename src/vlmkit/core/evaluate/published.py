"""Per-task scores from files: DCLM's `icl` dictionaries, plain dictionaries, and our own tables of scores."""

import math
from collections.abc import Iterator
from pathlib import Path

from vlmkit.core.errors import InputError
from vlmkit.core.evaluate.aggregate import Accuracy
from vlmkit.core.evaluate.dclm import TASKS
from vlmkit.core.evaluate.tasks import Task
from vlmkit.core.io.jsonl import read_objects
from vlmkit.core.io.tables import iter_rows

Scores = dict[str, tuple[Task | None, int | None, Accuracy]]  # task name -> task, examples, accuracy
COLUMNS = ("model", "task", "shots", "value", "low", "high", "n")


def read_scores(path: Path) -> Iterator[tuple[str, Scores]]:
    """The models of a file in order, each with its per-task scores.

    Raises:
        InputError: an object without scores, or a score that is no fraction.
    """
    if path.is_dir() or path.suffix == ".parquet":
        yield from table_scores(path)
        return
    for where, entry in read_objects(path):
        name = next((str(entry[key]) for key in ("file", "name", "model") if entry.get(key)), path.stem)
        scores = {task: score(value, f"{where}, task '{task}'") for task, value in icl(entry, where).items()}
        yield name, {task: (TASKS.get(task), shots(task), Accuracy(value)) for task, value in scores.items()}


def icl(entry: dict[str, object], where: str) -> dict[str, object]:
    """The dictionary of per-task scores in an evaluation: under `icl`, `eval_metrics.icl`, or the whole object."""
    metrics = entry.get("eval_metrics")
    found = entry.get("icl", metrics.get("icl") if isinstance(metrics, dict) else None)
    if found is None and any(name in TASKS for name in entry):
        found = entry
    if not isinstance(found, dict):
        raise InputError("no per-task scores here", where=where, fix='an object {"icl": {"copa": 0.7, …}}')
    return found


def score(value: object, where: str) -> float | None:
    """One score as a fraction; null and NaN are missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"the score {value!r} is no number in [0, 1]", where=where, fix="give fractions, not percent")
    return float(value)


def shots(task: str) -> int | None:
    """The number of examples that the table gives a task."""
    return TASKS[task].shots if task in TASKS else None


def table_scores(path: Path) -> Iterator[tuple[str, Scores]]:
    """The models of a table of scores (an artifact of `vlmkit eval`)."""
    models: dict[str, Scores] = {}
    for row in iter_rows(path, columns=COLUMNS):
        name, task = str(row["model"]), str(row["task"])
        n, given, low, high = (row[key] for key in ("n", "shots", "low", "high"))
        found = Accuracy(
            score(row["value"], f"{path}, {name}, task '{task}'"),
            n if isinstance(n, int) else None,
            low if isinstance(low, float) else None,
            high if isinstance(high, float) else None,
        )
        models.setdefault(name, {})[task] = TASKS.get(task), given if isinstance(given, int) else None, found
    yield from models.items()
