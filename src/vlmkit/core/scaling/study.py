"""A study: which runs a law is fitted to, which it has to predict, and everything that is found.

The loss law is fitted to observed losses; the downstream law too, but it predicts from predicted losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.scaling import account, bootstrap, cautions
from vlmkit.core.scaling.checks import leave_one_size_out, rollout
from vlmkit.core.scaling.curves import Loss, Space
from vlmkit.core.scaling.evidence import Evidence, How, Places
from vlmkit.core.scaling.expressions import select
from vlmkit.core.scaling.fitting import Fit, check_count, digest, fit
from vlmkit.core.scaling.influence import Influence
from vlmkit.core.scaling.laws import EXPONENTIAL, Law, variables
from vlmkit.core.scaling.points import Columns, Points, check, column, complete, contradictions, loss_column, points

if TYPE_CHECKING:
    from vlmkit.core.scaling.picture import Picture

MOST_FITTED = 2_000_000  # draws times points that a bootstrap makes unasked
UNASKED = 1000  # draws that it makes unasked, at most


@dataclass(frozen=True)
class Roles:
    """Who takes which part, as expressions over the columns; None stands for the default."""

    where: str | None = None
    fit: str | None = None  # default: all but the targets
    target: str | None = None
    downstream: tuple[str, ...] = ()  # columns, whose mean is the error
    downstream_fit: str | None = None  # default: as `fit`
    cluster: str | None = None  # a column: points that share its value are not independent


@dataclass(frozen=True)
class Method:
    """How residuals are counted."""

    loss: Loss
    delta: float
    space: Space


@dataclass(frozen=True)
class Study:
    """Runs (N,) with the loss of a column as value, the rows fitted and the rows to predict; the downstream errors of
    the same runs, with the rows that their law is fitted to; the clusters of the runs, as numbers."""

    runs: Points
    loss: str
    fitted: np.ndarray
    targets: np.ndarray
    errors: Points | None
    errors_fitted: np.ndarray
    error: str = ""
    clusters: np.ndarray | None = None
    datasets: np.ndarray | None = None  # what each run was trained on, where the table says so
    notes: tuple[str, ...] = ()  # where the table contradicts itself


def arrange(columns: Columns, roles: Roles, *, law: Law, loss: str | None, error_law: Law = EXPONENTIAL) -> Study:
    """Give every run its role, and check all that will be computed with.

    Raises:
        InputError: a column or an expression is wrong, a role has no run, or a number is none.
    """
    table = complete(columns, law)
    if roles.where:
        kept = choose(roles.where, table, "--where")
        table = {name: values[kept] for name, values in table.items()}
    loss = loss_column(table, loss)
    runs = points(table, loss)
    targets = choose(roles.target, table, "--target") if roles.target else np.zeros(len(runs.names), bool)
    fitted = choose(roles.fit, table, "--fit-where") if roles.fit else ~targets
    if not fitted.any():
        raise InputError(
            "no run is left to fit: all are targets",
            where=f"--target {roles.target}",
            fix="narrow it, or add --fit-where",
        )
    check_count(law, int(fitted.sum()))
    check(runs[fitted], value=loss, law=law, fitted=True)
    check(runs[targets], value=loss, law=law, fitted=False)
    clusters, notes = grouped(table, roles.cluster), tuple(contradictions(table, law))
    if not roles.downstream:
        return Study(
            runs, loss, fitted, targets, None, fitted, clusters=clusters, datasets=table.get("dataset"), notes=notes
        )
    errors = replace(runs, value=mean_error(table, roles.downstream))
    rows = choose(roles.downstream_fit, table, "--downstream-fit-where") if roles.downstream_fit else fitted
    check_count(error_law, int(rows.sum()))
    check(runs[rows], value=loss, law=law, fitted=True)
    name = roles.downstream[0] if len(roles.downstream) == 1 else f"mean of {len(roles.downstream)} errors"
    check_errors(errors[rows], name, error_law)
    return Study(runs, loss, fitted, targets, errors, rows, name, clusters, table.get("dataset"), notes)


def mean_error(table: Columns, names: Sequence[str]) -> np.ndarray:
    """The mean (N,) of the columns of downstream errors; NaN where one is missing."""
    found = [column(table, name, where="--downstream") for name in names]
    return np.mean(np.stack(found), axis=0)


def grouped(table: Columns, name: str | None) -> np.ndarray | None:
    """The cluster of each run (N,), as a number."""
    if name is None:
        return None
    if name not in table:
        column(table, name, where="--cluster")
    return np.unique(np.array([str(value) for value in table[name]]), return_inverse=True)[1]


def choose(expression: str, table: Columns, option: str) -> np.ndarray:
    """The rows (N,) that an option chooses: at least one."""
    rows = select(expression, table, where=option)
    if not rows.any():
        raise InputError(f"{option} chooses no run", where=expression, fix=f"widen it; there are {rows.size} runs")
    return rows


def check_errors(errors: Points, name: str, law: Law) -> None:
    """Refuse downstream errors that are missing where they are to be fitted, the same everywhere, or no fractions."""
    missing = [run for run, value in zip(errors.names, errors.value, strict=True) if not np.isfinite(value)]
    if missing:
        fix = "score it, or choose the runs with --downstream-fit-where"
        raise InputError(f"{name} is missing", where=f"run '{missing[0]}' ({len(missing)} such in all)", fix=fix)
    if len(errors.names) > 1 and np.ptp(errors.value) == 0:
        raise InputError(
            f"{name} is {errors.value[0]:g} in all runs of the fit", where=name, fix="add runs that differ"
        )
    odd = ~((errors.value > 0) & (errors.value < 1))
    if law.link == "complement" and odd.any():
        row = int(np.argmax(odd))
        raise InputError(
            f"{name} is {errors.value[row]:g}, and has no log-accuracy",
            where=f"run '{errors.names[row]}'",
            fix="errors between 0 and 1, or another --downstream-law",
        )


def fit_laws(study: Study, *, law: Law, error_law: Law, method: Method) -> tuple[Fit, Fit | None]:
    """Fit the law of the loss, and that of the downstream error by least squares."""
    known = study.runs[study.fitted]
    x = known.places.variables(law)
    own = None if study.clusters is None else study.clusters[study.fitted]
    first = fit(law, x, known.value, loss=method.loss, delta=method.delta, space=method.space, cluster=own)
    if study.errors is None:
        return first, None
    along = study.runs[study.errors_fitted]
    x = variables(error_law, size=along.size, tokens=along.tokens, flops=along.flops, loss=along.value)
    own = None if study.clusters is None else study.clusters[study.errors_fitted]
    values = study.errors.value[study.errors_fitted]
    return first, fit(error_law, x, values, loss="lsq", delta=1.0, space="raw", cluster=own)


def gather(
    study: Study,
    fits: tuple[Fit, Fit | None],
    *,
    how: How,
    draws: int | None,
    kind: bootstrap.Kind,
    seed: int,
    level: float,
) -> Evidence:
    """The fits with draws of both laws; `draws` None stands for a thousand, fewer with very many runs."""
    known = [one for one in fits if one is not None]
    rows = [study.fitted, study.errors_fitted][: len(known)]
    labels = np.arange(len(study.runs.names)) if study.clusters is None else study.clusters
    names = [labels[row][one.order] for row, one in zip(rows, known, strict=True)]
    count = min(UNASKED, MOST_FITTED // max(one.n for one in known)) if draws is None else draws
    found = bootstrap.joint(known, names, count=count, kind=kind, seed=seed)
    return Evidence(fits[0], fits[1], tuple(found), how, level)


def judge(study: Study, evidence: Evidence, weight: Influence) -> list[str]:
    """The cautions about a fit, whatever it is asked."""
    known, law = study.runs[study.fitted], evidence.loss
    notes = [*study.notes, *cautions.of_fit(evidence, law), *cautions.of_influence(known, weight, law)]
    notes += [*cautions.of_compute(law, known), *cautions.of_repeats(known, study.clusters is not None)]
    notes += cautions.of_datasets(None if study.datasets is None else study.datasets[study.fitted])
    if evidence.error is not None and study.errors is not None:
        notes += cautions.of_fractions(study.error, study.errors[study.errors_fitted])
        notes += cautions.of_fit(evidence, evidence.error)
        notes += cautions.of_compute(evidence.error, study.runs[study.errors_fitted])
    return notes


def findings(
    study: Study, evidence: Evidence, weight: Influence, *, asked: Places, notes: Sequence[str]
) -> dict[str, object]:
    """Everything that is said of a fit: parameters, targets, predictions, checks, and the cautions: those of `judge`,
    and those of what it is asked."""
    targets, known, law = study.runs[study.targets], study.runs[study.fitted], evidence.loss
    rows = account.target_rows(targets, evidence.predict(targets.places))
    values: dict[str, object] = {"law": law.law.name, **account.summary(law, evidence)}
    values |= {"uncertainty": evidence.how, "bootstrap": account.bootstrap_json(evidence), "data_digest": digest(law)}
    if evidence.error is not None and study.errors is not None:
        params = account.parameters(evidence.error)
        values["params"] = {**account.parameters(law), "downstream": params}
        values["downstream"] = {
            "column": study.error, "law": evidence.error.law.name, **params, **account.summary(evidence.error, evidence)
        }  # fmt: skip
        rows = account.with_downstream(rows, study.errors[study.targets].value, evidence.predict_error(targets.places))
    decades = cautions.extrapolation(cautions.ranges(known), targets.places, asked)
    asking = [*cautions.of_range(decades), *cautions.of_targets(rows, fitted=set(known.names))]
    return values | {
        "extrapolation": decades,
        "warnings": [*notes, *asking],
        "targets": rows,
        "predictions": account.prediction_rows(evidence, asked),
        "influence": account.influence_rows(known, weight),
        "without_outliers": weight.without,
        "checks": account.check_rows(rollout(law, level=evidence.level), leave_one_size_out(law, level=evidence.level)),
    }


def table(study: Study, evidence: Evidence) -> list[account.Row]:
    """A row for each run that a law can be asked about: its role, its truth, what the law says."""
    usable = drawable(study.runs, evidence.loss.law, with_value=False)
    roles = np.where(study.fitted, "fit", np.where(study.targets, "target", "other"))[usable]
    runs = study.runs[usable]
    rows = account.table_rows(runs, roles.tolist(), evidence.predict(runs.places))
    if evidence.error is None or study.errors is None:
        return rows
    true = study.errors[usable].value
    return account.with_downstream(rows, true, evidence.predict_error(runs.places))


def picture(study: Study, evidence: Evidence, weight: Influence) -> "Picture":
    """What is to be drawn."""
    from vlmkit.core.scaling.picture import Picture  # matplotlib is loaded only where something is drawn

    shown = drawable(study.runs, evidence.loss.law, with_value=True)
    errors = study.errors
    scored = shown & np.isfinite(errors.value) if errors is not None else shown
    return Picture(
        evidence=evidence,
        fitted=study.runs[study.fitted],
        held_out=study.runs[shown & ~study.fitted],
        targets=study.runs[study.targets],
        label=study.loss,
        weight=weight,
        losses=study.runs[study.errors_fitted],
        errors=None if errors is None else errors[study.errors_fitted],
        errors_held_out=None if errors is None else errors[scored & ~study.errors_fitted],
        error_targets=None if errors is None else errors[study.targets],
        error_label=study.error,
    )


def drawable(runs: Points, law: Law, *, with_value: bool) -> np.ndarray:
    """The rows (N,) whose numbers have a logarithm."""
    places = {"N": runs.size, "D": runs.tokens, "C": runs.flops}
    axes = [*(places[name] for name in law.over if name in places), *([runs.value] if with_value else [])]
    return np.logical_and.reduce([np.isfinite(values) & (values > 0) for values in axes])
