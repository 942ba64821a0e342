"""A report of evaluations as a person reads it: a table of tasks, one of aggregates, and what is missing in a line."""

from dataclasses import replace

from vlmkit.core.io.job import Result

Report = dict[str, object]

COLUMNS = ("accuracy", "low", "high", "n", "shots", "baseline", "centered", "truncated")
AGGREGATES = ("core_v1", "core_v2", "extended_v1", "extended_v2")
WIDE = 10  # columns of tasks that a terminal shows
NAMED = 4  # missing tasks that are named before the rest is counted


def for_people(result: Result) -> Result:
    """A result whose tables are those of `present`; --json still prints the values."""
    models = result.values.get("models")
    return replace(result, shown=present(models)) if isinstance(models, list) else result


def present(models: list[Report]) -> Report:
    """The tables of one or several model reports; --json has every figure."""
    tables: Report = {}
    if len(models) == 1:
        tasks = inner(models[0], "tasks")
        tables[str(models[0]["name"])] = {name: pick(inner(tasks, name), COLUMNS) for name in tasks}
    else:
        names = dict.fromkeys(name for model in models for name in inner(model, "tasks"))
        if len(names) <= WIDE:
            tables["accuracy"] = [{"model": m["name"]} | {name: cell(m, name) for name in names} for m in models]
    tables["aggregates"] = [{"model": model["name"]} | pick(model, AGGREGATES) for model in models]
    absent = {group: lacking(inner(models[0], "missing").get(group)) for group in ("core", "extended")}
    return tables | {f"{group} needs": text for group, text in absent.items() if text}


def inner(report: Report, key: str) -> Report:
    """A part of a report."""
    found = report.get(key)
    return found if isinstance(found, dict) else {}


def pick(report: Report, keys: tuple[str, ...]) -> Report:
    """Those figures of a report that are there."""
    return {key: report[key] for key in keys if key in report}


def cell(model: Report, task: str) -> object:
    """A model's accuracy on a task."""
    return inner(inner(model, "tasks"), task).get("accuracy")


def lacking(names: object) -> str:
    """Which tasks an aggregate lacks, in a few words."""
    if not isinstance(names, list) or not names:
        return ""
    rest = f" and {len(names) - NAMED} more tasks" if len(names) > NAMED else ""
    return ", ".join(map(str, names[:NAMED])) + rest
