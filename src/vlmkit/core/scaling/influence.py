"""What single points do to a fit: how far it moves without each of them, and which do not follow the law of the rest.

Leave-one-out is exact: every fit is solved again, all in one batch. Outliers hide one another from it, so they are
found by a fit of their own: least absolute residuals of the logarithm, which a few points cannot bend, with the points
beyond OUTLYING robust deviations set aside until nothing changes any more.
"""

from dataclasses import dataclass, replace

import numpy as np

from vlmkit.core.scaling.batch import minimise, smoothed
from vlmkit.core.scaling.bootstrap import metric_of
from vlmkit.core.scaling.curves import Problem, residuals
from vlmkit.core.scaling.fitting import OUTLYING, Fit, deviation
from vlmkit.core.scaling.solver import solve
from vlmkit.core.scaling.wald import LOGARITHMIC, freedom, intervals, quantile

LEAST_FREEDOM = 5  # fewer points beyond the parameters cannot tell an outlier
ROUNDED = 1e-5  # relative differences of losses that mean nothing
MOST = 1000  # points left out one by one; with more, those with the largest residuals


@dataclass(frozen=True)
class Influence:
    """For each point (N,), in the order of the caller's table: its residual over the robust deviation, whether it is an
    outlier, and how far the parameters move without it, in standard errors (NaN where it was not tried).

    `without` holds the parameters with all outliers left out, None where there is none or no fit without them.
    """

    deviation: np.ndarray
    outlier: np.ndarray
    shifts: dict[str, np.ndarray]
    without: dict[str, float] | None

    @property
    def largest(self) -> tuple[np.ndarray, np.ndarray]:
        """The largest shift of any parameter (N,), and the number of that parameter."""
        every = np.abs(np.stack(list(self.shifts.values())))
        every = np.where(np.isfinite(every), every, -1.0)
        return np.where(every.max(0) < 0, np.nan, every.max(0)), every.argmax(0)


def influence(fitted: Fit) -> Influence:
    """How much each point weighs in a fit."""
    away, kept = robust(fitted)
    shifts, without = left_out(fitted), None
    if not kept.all() and kept.sum() > fitted.law.num_parameters:
        others = subset(fitted.problem, kept)
        with np.errstate(all="ignore"):
            values = fitted.law.named(solve(others)[0], fitted.centre)
        without = {name: float(value) for name, value in values.items()}
    back = np.argsort(fitted.order)
    return Influence(away[back], ~kept[back], {name: shift[back] for name, shift in shifts.items()}, without)


@np.errstate(all="ignore")  # a factor whose interval passes zero has no error in the logarithm
def left_out(fitted: Fit) -> dict[str, np.ndarray]:
    """How far each parameter moves (N,) without each point, in its standard errors."""
    errors = {
        name: None if ends is None else log_or_not(name, np.array(ends))
        for name, ends in intervals(fitted, level=0.95).items()
    }
    parameters = {name: value for name, value in fitted.values.items() if name in fitted.law.parameters}
    found = {name: np.full(fitted.n, np.nan) for name in parameters}
    if fitted.dof <= 1:
        return found
    rows = np.sort(np.argsort(-np.abs(fitted.residuals), kind="stable")[:MOST])
    weights = np.ones((len(rows), fitted.n))
    weights[np.arange(len(rows)), rows] = 0.0
    again = minimise(fitted.problem, fitted.solution, metric_of(fitted), weights=weights)
    moved = fitted.law.named(again.solutions, fitted.centre)
    for name, value in parameters.items():
        ends = errors[name]
        if ends is not None:
            error = (ends[1] - ends[0]) / (2 * quantile(0.95, freedom(fitted)))
            found[name][rows] = (log_or_not(name, moved[name]) - log_or_not(name, np.array(value))) / error
    return found


def log_or_not(name: str, value: np.ndarray) -> np.ndarray:
    """A parameter in the scale in which its error is counted."""
    return np.log(value) if name in LOGARITHMIC else value


def robust(fitted: Fit) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (N,) over the robust deviation, and which points follow the law of the majority (N,)."""
    nothing = np.zeros(fitted.n), np.ones(fitted.n, bool)
    kept = nothing[1]
    plain = replace(fitted.problem, loss="lad", space="log")
    solution, metric = solve(smoothed(plain, fitted.solution))[0], metric_of(fitted)
    for _ in range(20):
        spare = int(kept.sum()) - fitted.law.num_parameters
        if spare < LEAST_FREEDOM:
            return nothing
        solution = minimise(subset(plain, kept), solution, metric).solutions[0]
        with np.errstate(all="ignore"):
            r = residuals(plain, solution)
        away = -r / max(deviation(r[kept], spare), ROUNDED)
        following = np.abs(away) <= OUTLYING
        if (following == kept).all():
            break
        kept = following
    return away, kept


def subset(problem: Problem, kept: np.ndarray) -> Problem:
    """The same problem with some of its points."""
    cluster = None if problem.cluster is None else problem.cluster[kept]
    return replace(problem, x=problem.x[:, kept], y=problem.y[kept], cluster=cluster)
