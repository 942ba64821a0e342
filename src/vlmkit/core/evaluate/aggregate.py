"""From accuracies to CORE and EXTENDED: centred by the accuracy of guessing, averaged over all tasks or not at all.

DataComp-LM, section 3.5: centered = (accuracy - b) / (1 - b) with the baseline b of the table's version, never clipped;
CORE is the mean over 22 tasks, EXTENDED over 53. A missing task means no number, and its name.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlmkit.core.evaluate.dclm import CORE, EXTENDED, TASKS
from vlmkit.core.evaluate.tasks import Task

NORMAL = 1.959963984540054  # two-sided 95 %
GROUPS = {"core": CORE, "extended": EXTENDED}


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of a task over n rows with its 95 % interval; None where it is not known."""

    value: float | None
    n: int | None = None
    low: float | None = None
    high: float | None = None


def accuracy(correct: Sequence[tuple[int, int]]) -> Accuracy:
    """The unweighted mean of the accuracies of data sets given as (correct, rows), with its interval.

    Each data set has Wilson's interval; their mean has the one that the distances to their ends give in quadrature (the
    method of variance estimates recovery, Zou and Donner 2008). One data set keeps Wilson's own.
    """
    shares = [right / rows for right, rows in correct]
    ends = [wilson(right, rows) for right, rows in correct]
    mean = sum(shares) / len(shares)
    below = math.hypot(*(share - low for share, (low, _) in zip(shares, ends, strict=True))) / len(shares)
    above = math.hypot(*(high - share for share, (_, high) in zip(shares, ends, strict=True))) / len(shares)
    return Accuracy(mean, sum(rows for _, rows in correct), max(0.0, mean - below), min(1.0, mean + above))


def wilson(right: int, rows: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion."""
    z, share = NORMAL, right / rows
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return min(centre - half, share), max(centre + half, share)


def centered(value: float, baseline: float) -> float:
    """An accuracy in [0, 1] on the scale where guessing (baseline, in percent) is 0 and all right is 1."""
    return (value - 0.01 * baseline) / (1 - 0.01 * baseline)


def missing(scores: Mapping[str, float | None]) -> dict[str, list[str]]:
    """The tasks that each aggregate lacks, in the order of the table."""
    return {group: [name for name in names if scores.get(name) is None] for group, names in GROUPS.items()}


def aggregates(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    """CORE and EXTENDED in both versions of the baselines; None where a task is missing."""
    found: dict[str, float | None] = {}
    for group, names in GROUPS.items():
        values = [(TASKS[name], scores.get(name)) for name in names]
        for version in ("v1", "v2"):
            centred = [centered(value, baseline_of(task, version)) for task, value in values if value is not None]
            found[f"{group}_{version}"] = sum(centred) / len(names) if len(centred) == len(names) else None
    return found


def baseline_of(task: Task, version: str) -> float:
    """The accuracy of guessing in percent, by the version of the table."""
    return task.baseline_v1 if version == "v1" else task.baseline


def task_report(task: Task | None, found: Accuracy, *, shots: int | None) -> dict[str, object]:
    """What is reported of a task; all numbers are fractions. A task that nobody knows (None) has no baseline."""
    value, percent = found.value, (task.baseline, task.baseline_v1) if task else (None, None)
    v2, v1 = (None if value is None or b is None else centered(value, b) for b in percent)
    baseline, baseline_v1 = (None if b is None else 0.01 * b for b in percent)
    return {
        "accuracy": value, "n": found.n, "shots": shots, "baseline": baseline, "baseline_v1": baseline_v1,
        "centered": v2, "centered_v1": v1, "low": found.low, "high": found.high,
    }  # fmt: skip


def model_report(name: str, tasks: Mapping[str, tuple[Task | None, int | None, Accuracy]]) -> dict[str, object]:
    """What is reported of a model: its tasks, the four aggregates and what is missing for them.

    `tasks` gives for each name the task, the number of examples and the accuracy. Only tasks of DCLM's table take part
    in the aggregates.
    """
    scores = {key: found.value for key, (task, _, found) in tasks.items() if task is not None and task.listed}
    table = {key: task_report(task, found, shots=shots) for key, (task, shots, found) in tasks.items()}
    return {"name": name, "tasks": table, **aggregates(scores), "missing": missing(scores)}


def score_rows(report: Mapping[str, object]) -> list[dict[str, object]]:
    """The rows of a table of scores that a model's report makes; tasks without a score make none."""
    tasks = report["tasks"]
    assert isinstance(tasks, dict)
    names = {"value": "accuracy"} | {key: key for key in ("low", "high", "n", "baseline", "centered")}
    names |= {"baseline_v1": "baseline_v1", "centered_v1": "centered_v1"}
    return [
        {"model": report["name"], "task": task, "shots": found["shots"], "metric": "accuracy"}
        | {column: found[key] for column, key in names.items()}
        for task, found in tasks.items()
        if found["accuracy"] is not None
    ]
