"""Tables of training runs from wherever they are: csv, parquet, json, jsonl, run folders, and scores joined to them."""

import codecs
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from vlmkit.core.errors import InputError, nearest
from vlmkit.core.io.jsonl import read_objects
from vlmkit.core.io.progress import log
from vlmkit.core.io.tables import read_tables

Columns = dict[str, np.ndarray]  # each (N,): float64 with NaN for what is missing, bool, or object (text or None)
Record = Mapping[str, object]
SUFFIXES = (".parquet", ".csv", ".json", ".jsonl")
SCORES = {"model", "task", "value"}
CHANCE = ("baseline", "chance", "random_accuracy")


def read_runs(paths: Sequence[Path]) -> Columns:
    """All runs of several tables, one row each; scores become columns `err_<task>` and `err_avg` of the run they name.

    Raises:
        InputError: a file that is no table, no runs at all, or scores that contradict one another.
    """
    runs: list[Record] = []
    scores: list[Record] = []
    for path in paths:
        for file in table_files(path):
            rows = read_rows(file)
            (scores if rows and set(rows[0]) >= SCORES else runs).extend(rows)
    if not runs:
        what = "only scores, no runs" if scores else "no rows"
        raise InputError(f"there are {what} here", where=", ".join(map(str, paths)), fix="give the table of runs too")
    if scores:
        runs = join(runs, errors_by_model(scores))
    names = list(dict.fromkeys(name for row in runs for name in row))
    return {name: column([row.get(name) for row in runs]) for name in names}


def table_files(path: Path) -> list[Path]:
    """The table files that a path stands for: itself, or those of a folder of runs or scores."""
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"'{path.suffix}' is no table", where=str(path), fix=f"one of {', '.join(SUFFIXES)}")
        return [path]
    for pattern in ("run.parquet", "runs.parquet", "part-*.parquet", "*/run.parquet", "runs/*/run.parquet"):
        found = sorted(path.glob(pattern))
        if found:
            return found
    raise InputError(
        "no runs and no scores in this folder", where=str(path), fix="give what `pretrain` or `eval` wrote, or a table"
    )


def read_rows(path: Path) -> list[Record]:
    """The rows of one file."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return list(scalar_columns(read_tables(path)).to_pylist())
    if suffix == ".csv":
        return read_csv(path)
    objects = [row for _, row in read_objects(path)]
    if len(objects) == 1:
        inner = [value for value in objects[0].values() if isinstance(value, list)]
        if len(inner) == 1 and inner[0] and all(isinstance(row, dict) for row in inner[0]):
            return list(inner[0])  # {"runs": [{…}, …]}
        if inner and len(inner) == len(objects[0]) and len({len(values) for values in inner}) == 1:
            return [dict(zip(objects[0], values, strict=True)) for values in zip(*inner, strict=True)]  # columns
    return list(objects)


def read_csv(path: Path) -> list[Record]:
    """The rows of a csv file in UTF-8, or in UTF-16 with its mark; blanks about the names do not count."""
    with path.open("rb") as handle:
        encoding = "utf16" if handle.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf8"
    try:
        table = csv.read_csv(path, read_options=csv.ReadOptions(encoding=encoding))
        names = [name.strip() for name in table.column_names]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is None:
            return list(table.rename_columns(names).to_pylist())
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise InputError(
            f"not a csv table: {error}", where=str(path), fix="one line of names, then one a run, in UTF-8"
        ) from error
    raise InputError(f"there are several columns '{twice}'", where=str(path), fix="give each its own name")


def scalar_columns(table: pa.Table) -> pa.Table:
    """A table without its lists, structs and images."""
    return table.select([field.name for field in table.schema if not pa.types.is_nested(field.type)])


def column(values: Sequence[object]) -> np.ndarray:
    """Values of a column as an array: numbers become float64 before anything is multiplied."""
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, bool) for value in present) and len(present) == len(values):
        return np.array(values, dtype=bool)
    if all(isinstance(value, int | float) for value in present):
        return np.array([math.nan if value is None else to_float(value) for value in values], dtype=np.float64)
    return np.array([None if value is None else str(value) for value in values], dtype=object)


def to_float(value: object) -> float:
    """A number as a float; infinite where it is too large for one."""
    assert isinstance(value, int | float)
    try:
        return float(value)
    except OverflowError:
        return math.inf


def errors_by_model(scores: Iterable[Record]) -> dict[str, dict[str, float]]:
    """1 - value of every task, by model; `err_avg` is the mean over the tasks that all models have."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for row in scores:
        found[str(row["model"]), str(row["task"])].append(row)
    models: dict[str, dict[str, float]] = defaultdict(dict)
    for (model, task), rows in found.items():
        chosen = [row for row in rows if row.get("metric") == "accuracy"] or rows
        values = {row["value"] for row in chosen}
        if len(values) > 1:
            raise InputError(
                f"{len(values)} different scores of '{model}' on '{task}'",
                where="the scores",
                fix="give one folder of scores a model, with one number of shots",
            )
        (value,) = values
        models[model][task] = math.nan if value is None else 1 - to_float(value)
    common = sorted(set.intersection(*(set(tasks) for tasks in models.values())))
    return {
        model: {f"err_{task}": value for task, value in tasks.items()}
        | ({"err_avg": math.fsum(tasks[task] for task in common) / len(common)} if common else {})
        for model, tasks in models.items()
    }


def join(runs: Sequence[Record], errors: Mapping[str, Mapping[str, float]]) -> list[Record]:
    """Runs with the errors of the model that bears their name."""
    names = [str(row.get("name")) for row in runs]
    for model in errors:
        if model not in names:
            log.warning("scores of '%s' belong to no run (%s)", model, nearest(model, names))
    if not set(names) & set(errors):
        raise InputError(
            "no run bears the name of a scored model",
            where=f"scores of {', '.join(sorted(errors)[:4])}; runs {', '.join(names[:4])}",
            fix="the column 'name' of the runs has to equal the column 'model' of the scores",
        )
    return [{**row, **errors.get(name, {})} for row, name in zip(runs, names, strict=True)]


def read_baselines(paths: Sequence[Path]) -> dict[str, float]:
    """The chance accuracy of every task, as a fraction, from tables with a column `task` (or `name`) and one of
    `baseline`, `chance`, `random_accuracy`; other tables are passed over.

    Raises:
        InputError: a number that is no fraction, or two of one task.
    """
    found: dict[str, float] = {}
    for file in (file for path in paths for file in table_files(path)):
        for row in read_rows(file):
            name = row.get("task", row.get("name"))
            value = next((row[key] for key in CHANCE if row.get(key) is not None), None)
            if name is None or not isinstance(value, int | float):
                continue
            if not 0 <= value <= 1 or not math.isclose(found.setdefault(str(name), float(value)), value, abs_tol=1e-9):
                raise InputError(
                    f"the chance accuracy of '{name}' is {value:g}",
                    where=str(file),
                    fix="one fraction between 0 and 1 a task",
                )
    return found
