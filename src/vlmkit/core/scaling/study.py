"""A study: which runs a law is fitted to, which it has to predict, and everything that is found.

The loss law is fitted to observed losses; the downstream law too, but it predicts from predicted losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.scaling import account, cautions
from vlmkit.core.scaling.expressions import select
from vlmkit.core.scaling.figure import Picture
from vlmkit.core.scaling.fitting import Fit, chain, fit, predict
from vlmkit.core.scaling.laws import DOWNSTREAM, FLOPS_PER_PARAMETER_AND_TOKEN, LAWS, variables
from vlmkit.core.scaling.points import Columns, Points, check, column, complete, loss_column, points
from vlmkit.core.scaling.solver import Loss, Space


@dataclass(frozen=True)
class Roles:
    """Who takes which part, as expressions over the columns; None stands for the default."""

    where: str | None = None
    fit: str | None = None  # default: all but the targets
    target: str | None = None
    downstream: str | None = None  # a column
    downstream_fit: str | None = None  # default: as `fit`


@dataclass(frozen=True)
class Study:
    """Runs (N,) with the loss of a column as value, the rows fitted and the rows to predict; the downstream errors of
    the same runs, with the rows that their law is fitted to."""

    runs: Points
    loss: str
    fitted: np.ndarray
    targets: np.ndarray
    errors: Points | None
    errors_fitted: np.ndarray
    error: str = ""


@dataclass(frozen=True)
class Fits:
    """The law of the loss and, where a downstream column was named, that of the error."""

    loss: Fit
    error: Fit | None


def arrange(columns: Columns, roles: Roles, *, law: str, loss: str | None) -> Study:
    """Give every run its role, and check all that will be computed with.

    Raises:
        InputError: a column or an expression is wrong, a role has no run, or a number is none.
    """
    table = complete(columns)
    if roles.where:
        kept = choose(roles.where, table, "--where")
        table = {name: values[kept] for name, values in table.items()}
    loss = loss_column(table, loss)
    runs = points(table, loss)
    targets = choose(roles.target, table, "--target") if roles.target else np.zeros(len(runs.names), bool)
    fitted = choose(roles.fit, table, "--fit-where") if roles.fit else ~targets
    check(runs[fitted], value=loss, law=law, fitted=True)
    check(runs[targets], value=loss, law=law, fitted=False)
    if roles.downstream is None:
        return Study(runs, loss, fitted, targets, None, fitted)
    column(table, roles.downstream, where="--downstream")
    errors = points(table, roles.downstream)
    rows = choose(roles.downstream_fit, table, "--downstream-fit-where") if roles.downstream_fit else fitted
    check(runs[rows], value=loss, law=law, fitted=True)
    check_errors(errors[rows], roles.downstream)
    return Study(runs, loss, fitted, targets, errors, rows, roles.downstream)


def choose(expression: str, table: Columns, option: str) -> np.ndarray:
    """The rows (N,) that an option chooses: at least one."""
    rows = select(expression, table, where=option)
    if not rows.any():
        raise InputError(f"{option} chooses no run", where=expression, fix=f"widen it; there are {rows.size} runs")
    return rows


def check_errors(errors: Points, name: str) -> None:
    """Refuse downstream errors that are missing where they are to be fitted, or the same everywhere."""
    missing = [run for run, value in zip(errors.names, errors.value, strict=True) if not np.isfinite(value)]
    if missing:
        fix = "score it, or choose the runs with --downstream-fit-where"
        raise InputError(f"{name} is missing", where=f"run '{missing[0]}' ({len(missing)} such in all)", fix=fix)
    if len(errors.names) > 1 and np.ptp(errors.value) == 0:
        raise InputError(
            f"{name} is {errors.value[0]:g} in all runs of the fit", where=name, fix="add runs that differ"
        )


def fit_laws(study: Study, *, law: str, loss: Loss, delta: float, space: Space) -> Fits:
    """Fit the law of the loss, and that of the downstream error by least squares."""
    known = study.runs[study.fitted]
    first = fit(LAWS[law], variables(known.size, known.tokens), known.value, loss=loss, delta=delta, space=space)
    if study.errors is None:
        return Fits(first, None)
    losses, errors = study.runs[study.errors_fitted].value, study.errors[study.errors_fitted].value
    return Fits(first, fit(DOWNSTREAM, losses[None], errors, loss="lsq", delta=delta, space="raw"))


def findings(study: Study, fits: Fits, *, level: float, asked: Sequence[tuple[float, float]]) -> dict[str, object]:
    """Everything that is said of a fit: parameters, targets, predictions, cautions."""
    targets, known = study.runs[study.targets], study.runs[study.fitted]
    x = variables(targets.size, targets.tokens)
    rows = account.target_rows(targets, predict(fits.loss, x, level=level))
    values: dict[str, object] = {"law": fits.loss.law.name, **account.summary(fits.loss, level=level)}
    notes = [*cautions.of_fit(fits.loss, variables(known.size, known.tokens), level=level)]
    if fits.error is not None and study.errors is not None:
        along = account.summary(fits.error, level=level)
        values["params"] = {**account.parameters(fits.loss), "downstream": account.parameters(fits.error)}
        values["downstream"] = {"column": study.error, **account.parameters(fits.error), **along}
        rows = account.with_downstream(
            rows, study.errors[study.targets].value, chain(fits.loss, fits.error, x, level=level)
        )
        notes += cautions.of_fit(fits.error, study.runs[study.errors_fitted].value[None], level=level)
    decades = cautions.extrapolation(cautions.ranges(known), joined(targets, asked))
    notes += [*cautions.of_range(decades), *cautions.of_targets(rows, fitted=set(known.names))]
    return values | {
        "extrapolation": decades,
        "warnings": notes,
        "targets": rows,
        "predictions": foretell(fits, asked, level=level),
    }


def foretell(fits: Fits, asked: Sequence[tuple[float, float]], *, level: float) -> list[account.Row]:
    """A row for each asked pair of parameters and tokens."""
    if not asked:
        return []
    x = variables(*np.array(asked, np.float64).T)
    chained = None if fits.error is None else chain(fits.loss, fits.error, x, level=level)
    return account.prediction_rows(asked, predict(fits.loss, x, level=level), chained)


def joined(targets: Points, asked: Sequence[tuple[float, float]]) -> Points:
    """Targets and asked pairs together, as points without values."""
    size = np.array([*targets.size, *(pair[0] for pair in asked)], np.float64)
    tokens = np.array([*targets.tokens, *(pair[1] for pair in asked)], np.float64)
    flops = FLOPS_PER_PARAMETER_AND_TOKEN * size * tokens
    flops[: targets.flops.size] = targets.flops
    return Points(size, tokens, flops, np.full_like(size, np.nan), ("",) * size.size)


def table(study: Study, fits: Fits, *, level: float) -> list[account.Row]:
    """A row for each run that a law can be asked about: its role, its truth, what the law says."""
    usable = drawable(study.runs, with_value=False)
    roles = np.where(study.fitted, "fit", np.where(study.targets, "target", "other"))[usable]
    runs = study.runs[usable]
    return account.table_rows(runs, roles.tolist(), predict(fits.loss, variables(runs.size, runs.tokens), level=level))


def picture(study: Study, fits: Fits, *, level: float) -> Picture:
    """What is to be drawn."""
    shown = drawable(study.runs, with_value=True)
    scored = None if study.errors is None else shown & np.isfinite(study.errors.value)
    return Picture(
        loss=fits.loss,
        fitted=study.runs[study.fitted],
        held_out=study.runs[shown & ~study.fitted],
        targets=study.runs[study.targets],
        label=study.loss,
        level=level,
        downstream=fits.error,
        losses=None if scored is None else study.runs[study.errors_fitted],
        errors=None if scored is None or study.errors is None else study.errors[study.errors_fitted],
        errors_held_out=None if scored is None or study.errors is None else study.errors[scored & ~study.errors_fitted],
        error_targets=None if study.errors is None else study.errors[study.targets],
        error_label=study.error,
    )


def drawable(runs: Points, *, with_value: bool) -> np.ndarray:
    """The rows (N,) whose numbers have a logarithm."""
    axes = [runs.size, runs.tokens, runs.flops, *([runs.value] if with_value else [])]
    return np.logical_and.reduce([np.isfinite(values) & (values > 0) for values in axes])
