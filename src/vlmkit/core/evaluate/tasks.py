"""In-context tasks: what a task is, and its rows read from a JSON Lines file with every fault named by file and line.

Four forms of rows (DCLM, section 3.5; the data sets of llm-foundry 0.9.0): multiple choice `query, choices, gold`;
schema `context_options, continuation, gold`; language modelling `context, continuation`; answers `context, answer,
aliases` and perhaps `chain_of_thought`.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from vlmkit.core.errors import InputError
from vlmkit.core.io.jsonl import read_json_lines

Row = dict[str, object]


class Form(StrEnum):
    """The four forms of a task's rows."""

    CHOICE = "multiple_choice"
    SCHEMA = "schema"
    LANGUAGE = "language_modeling"
    ANSWER = "generation_task_with_answers"


COLUMNS: dict[Form, dict[str, type]] = {  # form -> its columns and their types; a list is a list of strings
    Form.CHOICE: {"query": str, "choices": list, "gold": int},
    Form.SCHEMA: {"context_options": list, "continuation": str, "gold": int},
    Form.LANGUAGE: {"context": str, "continuation": str},
    Form.ANSWER: {"context": str, "answer": str},
}
OPTIONS = {Form.CHOICE: "choices", Form.SCHEMA: "context_options"}
WORDS = {str: "a text", list: "a list of texts", int: "a whole number"}


@dataclass(frozen=True)
class Format:
    """The strings of a prompt; `cot_delimiter` and `early_stopping` matter to generated answers alone."""

    prelimiter: str = ""
    continuation_delimiter: str = " "
    example_delimiter: str = "\n"
    cot_delimiter: str = ""
    early_stopping: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task: the form of its rows, how many examples stand before a question, and the strings between them.

    Baselines are the accuracy of guessing, in percent, in DCLM's versions 2 and 1. A task that is not `listed` in
    DCLM's table takes part in no aggregate. DCLM's files do not always bear the task's name.
    """

    name: str
    form: Form
    file: str
    shots: int = 0
    baseline: float = 0.0
    baseline_v1: float = 0.0
    category: str = ""
    format: Format = Format()
    has_categories: bool = False
    listed: bool = False


@dataclass(frozen=True)
class Pool:
    """Rows that form a data set of their own: a whole task, or one of its categories.

    `rows` have their top-level strings stripped; `raw` are as in the file, and `lines` are their numbers there, from 0.
    """

    category: str | None
    rows: list[Row]
    raw: list[Row]
    lines: list[int]
    path: Path


def read_pools(task: Task, path: Path) -> list[Pool]:
    """Read a task's file and cut it into its data sets: one, or one a category in sorted order.

    Raises:
        InputError: a broken line, a missing or mistyped column, `gold` out of range, or no row at all.
    """
    raw = []
    for where, row in read_json_lines(path):
        check(task, row, where)
        raw.append(row)
    rows = [{key: value.strip() if isinstance(value, str) else value for key, value in row.items()} for row in raw]
    if not task.has_categories:
        return [Pool(None, rows, raw, list(range(len(rows))), path)]
    pools = []
    for category in sorted({str(row["category"]) for row in rows}):
        lines = [i for i, row in enumerate(rows) if row["category"] == category]
        pools.append(Pool(category, [rows[i] for i in lines], [raw[i] for i in lines], lines, path))
    return pools


def own_task(path: Path) -> Task:
    """The task in a user's own file: its form is read off the columns of the first row, everything else is the default.

    The baseline is the chance of guessing: the mean over rows of one over the number of choices, in percent.
    """
    lines = list(read_json_lines(path))
    where, first = lines[0]
    form = next((form for form, columns in COLUMNS.items() if columns.keys() <= first.keys()), None)
    if form is None:
        known = "; ".join(", ".join(columns) for columns in COLUMNS.values())
        raise InputError(
            f"no task has the columns {', '.join(first)}", where=where, fix=f"columns of one form: {known}"
        )
    task = Task(name=path.stem, form=form, file=path.name)
    if form not in OPTIONS:
        return task
    for place, row in lines:
        check(task, row, place)
    chance = [100.0 / len(texts(row[OPTIONS[form]])) for _, row in lines]
    baseline = sum(chance) / len(chance)
    return replace(task, baseline=baseline, baseline_v1=baseline)


def check(task: Task, row: Row, where: str) -> None:
    """Refuse a row that lacks a column of its form or holds something else there."""
    columns: dict[str, type] = {**COLUMNS[task.form], **({"category": str} if task.has_categories else {})}
    fix = f"a row of {task.name} has {', '.join(columns)}"
    for name, kind in columns.items():
        if name not in row:
            raise InputError(f"'{name}' is missing", where=where, fix=fix)
        if not is_a(row[name], kind):
            raise InputError(f"'{name}' is not {WORDS[kind]}", where=where, fix=fix)
    if task.form is Form.ANSWER and not is_a(row.get("aliases", []), list):
        raise InputError("'aliases' is not a list of texts", where=where, fix='for example ["7", "seven"]')
    if task.form in OPTIONS:
        options, right = texts(row[OPTIONS[task.form]]), gold(row)
        if not 0 <= right < len(options):
            fix = f"there are {len(options)} choices, counted from 0"
            raise InputError(f"gold is {right}, out of range", where=where, fix=fix)


def is_a(value: object, kind: type) -> bool:
    """Whether a value has the type of a column; a truth value is no number, and lists hold texts."""
    if kind is list:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, kind) and not isinstance(value, bool)


def text(row: Row, name: str) -> str:
    """A text column of a checked row, or the empty text where the row has no such column."""
    value = row.get(name, "")
    assert isinstance(value, str)
    return value


def texts(value: object) -> list[str]:
    """A list column of a checked row."""
    assert isinstance(value, list)
    return value


def gold(row: Row) -> int:
    """The right choice of a checked row."""
    value = row["gold"]
    assert isinstance(value, int)
    return value
