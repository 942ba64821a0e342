"""Tasks that can be predicted, and how well each is."""

import shlex
from dataclasses import asdict, replace

import numpy as np

from vlmkit.core.configs.fit_scaling import DELTA
from vlmkit.core.configs.fit_scaling_compare import FitScalingTasksConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.job import Result, open_job
from vlmkit.core.io.runs import Columns, read_baselines, read_runs
from vlmkit.core.recipes.fit_scaling_table import deliver
from vlmkit.core.scaling import tasks
from vlmkit.core.scaling.account import Row, target_rows, with_downstream
from vlmkit.core.scaling.evidence import Evidence
from vlmkit.core.scaling.laws import EXPONENTIAL, law_of
from vlmkit.core.scaling.narrative import picked
from vlmkit.core.scaling.points import complete, rename
from vlmkit.core.scaling.study import Method, Roles, arrange, choose, fit_laws

PREFIX = "err_"


def run(config: FitScalingTasksConfig) -> Result:
    """Apply the rule to every task and, with targets, predict each."""
    job = open_job(config)
    if job.stored:
        return replace(job.stored, shown=picked(job.stored.values))
    columns = rename(read_runs(config.tables), config.map or {})
    table = complete(columns, law_of(config.law, config.variable))
    if config.where:
        kept = choose(config.where, table, "--where")
        table = {name: values[kept] for name, values in table.items()}
    chance = read_baselines([config.baselines] if config.baselines else config.tables)
    asked = choose(config.at, table, "--at") if config.at else np.ones(len(table["name"]), bool)
    if config.target and not config.at:  # the targets are to be predicted: their errors are not known yet
        asked &= ~choose(config.target, table, "--target")
    errors = known(table, chance, asked)
    found = tasks.choose(errors, chance, table["name"][asked], margin=config.margin)
    rows: list[Row] = [asdict(task) for task in found]
    chosen = [task.name for task in found if task.chosen]
    values: dict[str, object] = {"chosen": chosen, "without_baseline": missing(table, chance)}
    if config.target:
        told = {name: predicted(config, columns, (PREFIX + name,)) for name in errors}
        rows = [{**row, **told[str(row["name"])]} for row in rows]
        every = tuple(PREFIX + name for name in chosen)
        values["mean_of_chosen"] = predicted(config, columns, every) if chosen else None
    values["tasks"] = rows
    follow = follow_up(config, chosen) if chosen else ""
    return deliver(job, config, values, rows, picked(values), next=follow)


def follow_up(config: FitScalingTasksConfig, chosen: list[str]) -> str:
    """The command that fits the mean error of the chosen tasks."""
    words = ["vlmkit", "fit-scaling", *map(str, config.tables), "--law", config.law]
    for name in ("where", "fit_where", "downstream_fit_where", "target", "loss_column"):
        if getattr(config, name):
            words += ["--" + name.replace("_", "-"), getattr(config, name)]
    for name, column in (config.map or {}).items():
        words += ["--map", f"{name}={column}"]
    return shlex.join([*words, "--downstream", ",".join(PREFIX + name for name in chosen), "--out", "law"])


def known(table: Columns, chance: dict[str, float], rows: np.ndarray) -> dict[str, np.ndarray]:
    """The errors of the chosen models on every task whose chance is known.

    Raises:
        InputError: there is none.
    """
    found = {name: table[PREFIX + name][rows] for name in chance if PREFIX + name in table}
    if not found:
        raise InputError(
            "no task has both an error and a chance accuracy",
            where=f"columns {PREFIX}<task>; baselines of {', '.join(sorted(chance)[:5]) or 'none'}",
            fix="name the table of chance accuracies with --baselines",
        )
    for name, values in found.items():
        odd = values[(values < 0) | (values > 1)]
        if odd.size:
            fix = "errors are fractions of 1: divide percents by 100"
            raise InputError(f"{PREFIX}{name} is {odd[0]:g}", where=f"column {PREFIX}{name}", fix=fix)
    return found


def missing(table: Columns, chance: dict[str, float]) -> list[str]:
    """Tasks with errors whose chance is not known; means of several tasks have none."""
    names = [name.removeprefix(PREFIX) for name in table if name.startswith(PREFIX)]
    return sorted(name for name in names if name not in chance and not name.startswith("avg"))


def predicted(config: FitScalingTasksConfig, columns: Columns, downstream: tuple[str, ...]) -> Row:
    """How well the error of one task, or the mean of several, is predicted at the targets."""
    law = law_of(config.law, config.variable)
    roles = Roles(config.where, config.fit_where, config.target, downstream, config.downstream_fit_where)
    loss, space = config.method
    try:
        study = arrange(columns, roles, law=law, loss=config.loss_column)
        fits = fit_laws(study, law=law, error_law=EXPONENTIAL, method=Method(loss, config.delta or DELTA, space))
    except InputError as error:
        if downstream[0] in f"{error.what} {error.where}":  # this task alone cannot be fitted
            return {"mean_error": None, "worst_error": None, "inside": None, "note": error.what}
        raise
    assert study.errors is not None
    targets = study.runs[study.targets]
    evidence = Evidence(*fits, level=config.interval)
    rows = with_downstream(
        target_rows(targets, evidence.predict(targets.places)), study.errors[study.targets].value,
        evidence.predict_error(targets.places),
    )  # fmt: skip
    missed = [row["downstream_relative_error"] for row in rows]
    sizes = [abs(one) for one in missed if isinstance(one, float)]
    within = [row["downstream_inside"] for row in rows if row["downstream_inside"] is not None]
    return {
        "mean_error": float(np.mean(sizes)) if sizes else None,
        "worst_error": max(sizes) if sizes else None,
        "inside": f"{sum(map(bool, within))} of {len(within)}" if within else None,
        "note": None,
    }
