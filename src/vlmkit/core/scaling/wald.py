"""Wald's intervals: a fit's errors from its curvature at the optimum, with Student's t.

With least squares the covariance is s^2 (J'J)^-1. Huber's loss and least absolute residuals take the sandwich
H^-1 S H^-1 of M-estimators, S = sum psi^2 J J' and H = sum E[psi'] J J', where the expectation smooths each residual by
a kernel (Powell 1991), because few residuals lie where psi' is not zero; where there are few in all, they are taken as
normal. Where points come in clusters, S sums the scores of each cluster first. Factors such as A and a get their
interval in the logarithm.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vlmkit.core.scaling.curves import Problem, jets, resolution, rows_of
from vlmkit.core.scaling.fitting import Fit, following

FEW = 30  # fewer residuals are taken to be spread alike, and normal: the sandwich needs more
LOGARITHMIC = {"a", "b", "A", "B", "M_star", "k", "N_c", "D_c"}  # positive factors, off by orders of magnitude
Ends = tuple[float, float]


@dataclass(frozen=True)
class Prediction:
    """Predicted values (N,) with the ends of their prediction intervals; NaN where there is none."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def covariance_factor(fitted: Fit) -> np.ndarray | None:
    """A factor F (P, Q) of the covariance F F' of the solution; None without degrees of freedom, or where the points do
    not determine it. The factor keeps the digits that the covariance of hardly determined parameters would lose."""
    problem, r = fitted.problem, fitted.residuals
    if freedom(fitted) <= 0:
        return None
    rows = rows_of(problem, fitted.solution)
    scale = np.sqrt((rows**2).sum(0))
    if not scale.all():
        return None
    force, stiffness = influence(problem, r)
    triangle = np.linalg.qr(np.sqrt(stiffness)[:, None] * rows / scale, mode="r")
    if np.abs(np.diagonal(triangle)).min() < 1e-12 * np.sqrt(stiffness.max()):
        return None
    inverse = np.linalg.inv(triangle)
    pushed = np.asarray(np.linalg.qr(summed(problem, r, rows / scale, force), mode="r"))
    return (inverse @ (inverse.T @ pushed.T)) / scale[:, None] * np.sqrt(correction(fitted))


def summed(problem: Problem, r: np.ndarray, rows: np.ndarray, force: np.ndarray) -> np.ndarray:
    """The scores (N, P), whose squares S sums: one a point, or one a cluster (G, P)."""
    if problem.cluster is None:
        return rows * force[:, None]
    scores = rows * psi(problem, r)[:, None]
    groups, at = np.unique(problem.cluster, return_inverse=True)
    total = np.zeros((len(groups), rows.shape[1]))
    np.add.at(total, at, scores)
    return total


def psi(problem: Problem, r: np.ndarray) -> np.ndarray:
    """The derivative of the loss at residuals r (N,)."""
    if problem.loss == "lad":
        return np.sign(r)
    return np.clip(r, -problem.delta, problem.delta) if problem.loss == "huber" else r


def freedom(fitted: Fit) -> int:
    """Degrees of freedom of the intervals: points less parameters, or clusters less one if that is fewer."""
    if fitted.problem.cluster is None:
        return fitted.dof
    return min(fitted.dof, len(np.unique(fitted.problem.cluster)) - 1)


def correction(fitted: Fit) -> float:
    """The small-sample factor of the covariance."""
    plain = fitted.n / fitted.dof
    if fitted.problem.cluster is None:
        return plain
    groups = len(np.unique(fitted.problem.cluster))
    return groups / (groups - 1) * (fitted.n - 1) / fitted.dof


def influence(problem: Problem, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The size of psi (N,) and the expected psi' (N,) at residuals r; equal for all where they are taken as alike."""
    if problem.loss == "lsq":
        return np.full_like(r, np.sqrt(np.mean(r**2))), np.ones_like(r)
    if r.size < FEW:
        return alike(problem, r)
    low, high = np.percentile(r, [25, 75])
    width = 1.3 * min(float(np.std(r)), float(high - low) / 1.349) * r.size**-0.2  # a little over the rule of thumb
    width = max(width, resolution(problem))
    if problem.loss == "lad":
        force, stiffness = np.ones_like(r), np.sqrt(2 / np.pi) / width * np.exp(-((r / width) ** 2) / 2)
    else:
        force = np.minimum(np.abs(r), problem.delta)
        reach = [
            [math.erf((end - one) / width / math.sqrt(2)) / 2 for end in (-problem.delta, problem.delta)] for one in r
        ]
        stiffness = np.diff(np.array(reach), axis=1)[:, 0]
    return force, np.maximum(stiffness, 1e-12 * stiffness.max())


def alike(problem: Problem, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`influence` where residuals are few, and taken as normal: a density of theirs about zero would be far too high,
    for a robust fit passes through about as many points as it has parameters, whatever the noise."""
    known = r[following(problem, r)]
    spare = max(1, known.size - problem.law.num_parameters)
    scale = max(float(np.abs(known).sum()) * math.sqrt(math.pi / 2 / known.size / spare), resolution(problem))
    if problem.loss == "lad":
        return np.full_like(r, math.sqrt(spare / known.size)), np.full_like(r, math.sqrt(2 / math.pi) / scale)
    force = np.minimum(np.abs(r), problem.delta)
    stiffness = math.erf(problem.delta / scale / math.sqrt(2))
    return np.full_like(r, np.sqrt(np.mean(force**2))), np.full_like(r, stiffness)


def local(fitted: Fit, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (N,) and gradients (N, P) of the law at variables x (T, N)."""
    value, slope = jets(fitted.law, fitted.solution[None], x - fitted.centre[:, None], 1)
    return value[0], slope[0].T


def variance(fitted: Fit, x: np.ndarray, *, new: bool = True) -> np.ndarray | None:
    """The variance (N,) of the law's values at x (T, N), in the space of the fit; with `new`, of a new run there."""
    factor = covariance_factor(fitted)
    if factor is None or fitted.noise is None:
        return None
    value, rows = local(fitted, x)
    rows = rows / value[:, None] if fitted.problem.space == "log" else rows
    return ((rows @ factor) ** 2).sum(1) + (fitted.noise if new else 0.0)


@np.errstate(all="ignore")  # far outside the points a law may overflow: then there is no number to report
def predict(fitted: Fit, x: np.ndarray, *, level: float) -> Prediction:
    """What the law says at variables x (T, N), with an interval for one new observation each."""
    value, spread = fitted.at(x), variance(fitted, x)
    if spread is None:
        return Prediction(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    half = quantile(level, freedom(fitted)) * np.sqrt(spread)
    if fitted.problem.space == "log":
        return Prediction(value, value * np.exp(-half), value * np.exp(half))
    return Prediction(value, value - half, value + half)


@np.errstate(all="ignore")
def chain(loss: Fit, error: Fit, x: np.ndarray, *, level: float) -> Prediction:
    """Errors at x (T, N) through the losses that a law predicts there, with the uncertainty of both fits."""
    first = loss.at(x)
    value = error.at(first[None])
    own, carried = variance(error, first[None]), variance(loss, x)
    if own is None or carried is None:
        return Prediction(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    step = 1e-6 * np.maximum(np.abs(first), 1e-3)
    slope = (error.at((first + step)[None]) - error.at((first - step)[None])) / (2 * step)
    scale = first if loss.problem.space == "log" else 1.0
    half = quantile(level, min(freedom(loss), freedom(error))) * np.sqrt(own + (slope * scale) ** 2 * carried)
    return Prediction(value, value - half, value + half)


def intervals(fitted: Fit, *, level: float) -> dict[str, Ends | None]:
    """The interval of every parameter and derived value; None where there is none."""
    values, factor = fitted.values, covariance_factor(fitted)
    if factor is None:
        return dict.fromkeys(values)
    with np.errstate(all="ignore"):
        slopes = derivatives(lambda p: fitted.law.named(p, fitted.centre), fitted.solution)
    found: dict[str, Ends | None] = {}
    for name, value in values.items():
        with np.errstate(all="ignore"):
            half = quantile(level, freedom(fitted)) * float(np.linalg.norm(slopes[name] @ factor))
            if name in LOGARITHMIC and value > 0:
                low, high = float(value * np.exp(-half / value)), float(value * np.exp(half / value))
            else:
                low, high = value - half, value + half
        found[name] = (low, high) if math.isfinite(low) and math.isfinite(high) else None
    return found


def derivatives(
    function: Callable[[np.ndarray], Mapping[str, np.ndarray]], solution: np.ndarray
) -> dict[str, np.ndarray]:
    """Gradients (P,) of named values, by a complex step: exact to rounding."""
    steps = np.maximum(np.abs(solution), 1e-8) * 1e-20
    columns = [function(solution + 1j * step * np.eye(len(solution))[at]) for at, step in enumerate(steps)]
    return {
        name: np.array([np.imag(column[name]) / step for column, step in zip(columns, steps, strict=True)])
        for name in columns[0]
    }


def quantile(level: float, dof: int) -> float:
    """Student's t: how many standard errors a two-sided interval of this level reaches."""
    from scipy.special import stdtrit

    return float(stdtrit(dof, (1 + level) / 2)) if dof > 0 else math.nan
