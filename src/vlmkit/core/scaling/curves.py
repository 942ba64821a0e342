"""A law's values and derivatives at batches of solutions, and how residuals are counted.

A solution is (c_0, c_1, …, theta_0, …) over centred variables; a batch of B solutions is (B, P).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vlmkit.core.scaling.laws import Law

LEAST = 1e-3  # of the mean value: what stands for one that has no logarithm
RESOLUTION = 1e-9  # relative: no loss is known better than this
Loss = Literal["lsq", "huber", "lad"]
Space = Literal["raw", "log"]


@dataclass(frozen=True)
class Problem:
    """Centred variables x (T, N), values y (N,), and how residuals are counted.

    `delta` is where Huber's loss turns linear, in the units of the residuals. `cluster` (N,) numbers the runs that
    points belong to, where several points are one run's checkpoints.
    """

    law: Law
    x: np.ndarray
    y: np.ndarray
    loss: Loss = "lsq"
    delta: float = 1e-3
    space: Space = "raw"
    cluster: np.ndarray | None = None


def jets(law: Law, solutions: np.ndarray, x: np.ndarray, order: int) -> tuple[np.ndarray, ...]:
    """Values (B, N) of a law at solutions (B, P) and, by `order`, gradients (B, P, N) and Hessians (B, P, P, N)."""
    size, count = solutions.shape
    first = 1 + law.num_terms
    n = x.shape[-1]  # x may also be (T, B, N): other variables for each solution
    value = np.repeat(solutions[:, :1], n, axis=1)
    slope = np.zeros((size, count, n)) if order else None
    bend = np.zeros((size, count, count, n)) if order == 2 else None
    for number, term in enumerate(law.terms, start=1):
        at = [first + k for k in term.theta]
        scale = solutions[:, number, None]
        phi, *higher = term.shape(solutions[:, at], x[list(term.rows)], order)
        value += scale * phi
        if slope is not None:
            slope[:, number] = phi
            for j, place in enumerate(at):
                slope[:, place] += scale * higher[0][:, j]
        if bend is not None:
            bend[:, number, at] += higher[0]
            bend[:, at, number] += higher[0]
            bend[np.ix_(range(size), at, at)] += scale[:, None, None] * higher[1]
    if slope is not None:
        slope[:, 0] = 1.0
    return linked(law, value, slope, bend)


def linked(law: Law, eta: np.ndarray, slope: np.ndarray | None, bend: np.ndarray | None) -> tuple[np.ndarray, ...]:
    """What the link makes of a linear predictor eta (B, N) and its derivatives."""
    if law.link == "identity":
        value = eta
    else:
        value, first, second = link_derivatives(law, eta)
        if bend is not None and slope is not None:
            bend = first[:, None, None] * bend + second[:, None, None] * slope[:, :, None] * slope[:, None]
        if slope is not None:
            slope = first[:, None] * slope
    return tuple(part for part in (value, slope, bend) if part is not None)


def link_derivatives(law: Law, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The link with its first and second derivative: exp, or 1 - exp(-exp(eta))."""
    inner = np.exp(eta)
    if law.link == "exp":
        return inner, inner, inner
    kept = np.exp(-inner)
    return -np.expm1(-inner), inner * kept, inner * (1 - inner) * kept


def unlinked(law: Law, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Observed values in the space where the law is linear, and how fast a value moves there."""
    if law.link == "identity":
        return y, np.ones_like(y)
    if law.link == "exp":  # a resample may hold values below zero, which no such law reaches
        eta = np.log(np.where(y > 0, y, LEAST * np.abs(y).mean()))
    else:
        eta = np.log(-np.log1p(-np.clip(y, 1e-12, 1 - 1e-12)))
    return eta, link_derivatives(law, eta)[1]


def residual_of(problem: Problem, value: np.ndarray) -> np.ndarray:
    """Law minus data (…, N) for values of the law (…, N), in the space of the fit; NaN where no logarithm exists."""
    if problem.space == "raw":
        return value - problem.y
    return np.log(np.where(value > 0, value, np.nan)) - np.log(problem.y)


def sizes_of(problem: Problem, r: np.ndarray) -> np.ndarray:
    """What each residual (…, N) adds to the objective."""
    if problem.loss == "lad":
        return np.abs(r)
    if problem.loss == "huber":
        size = np.abs(r)
        return np.where(size <= problem.delta, r * r / 2, problem.delta * (size - problem.delta / 2))
    return r * r / 2


def count(problem: Problem, r: np.ndarray) -> np.ndarray:
    """The objective (…,) of residuals (…, N): half the sum of squares, Huber's sum, or the sum of absolute values;
    infinite where the law is not defined."""
    total = sizes_of(problem, r).sum(-1)
    return np.where(np.isfinite(total), total, np.inf)


def curve(problem: Problem, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (N,), gradients (P, N) and Hessians (P, P, N) of the law at one solution (P,)."""
    value, slope, bend = jets(problem.law, solution[None], problem.x, 2)
    return value[0], slope[0], bend[0]


def values_at(law: Law, solution: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values (N,) of the law at one solution (P,), or (B, N) at a batch (B, P)."""
    found = jets(law, np.atleast_2d(solution), x, 0)[0]
    return found[0] if solution.ndim == 1 else found


def residuals(problem: Problem, solution: np.ndarray) -> np.ndarray:
    """Law minus data (N,) at one solution, in the space of the fit."""
    return residual_of(problem, values_at(problem.law, solution, problem.x))


def rows_of(problem: Problem, solution: np.ndarray) -> np.ndarray:
    """The Jacobian (N, P) of the residuals at one solution."""
    value, slope = jets(problem.law, solution[None], problem.x, 1)
    return (slope[0] / value[0] if problem.space == "log" else slope[0]).T


def resolution(problem: Problem) -> float:
    """The residual below which nothing is known, in the space of the fit."""
    return RESOLUTION * (1.0 if problem.space == "log" else float(np.abs(problem.y).mean()))


def objective_of(problem: Problem, solution: np.ndarray) -> float:
    """The objective at one solution."""
    return float(count(problem, residuals(problem, solution)))
