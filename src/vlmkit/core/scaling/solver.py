"""Fitting `y = c_0 + sum_k c_k exp(-theta_k x_k)` to the global optimum, without starting values from the user.

For given exponents the law is linear, so its profile is scanned by variable projection over all sensible exponents at
once (Golub and Pereyra 1973); every local minimum of the scan is then polished by Newton's method on the true
objective. The scan is the certificate: with one minimum on it, there is no better solution between its points. Nothing
here stops on an absolute size, so the answer depends neither on units nor on whether the objective is a sum or a mean.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vlmkit.core.scaling.laws import Law
from vlmkit.core.scaling.newton import ROUNDING, Box, State, descend, step

Loss = Literal["lsq", "huber", "lad"]
Space = Literal["raw", "log"]
EXPONENT_RANGE = (0.01, 40.0)  # times the spread of the variable: from a straight line to a step
SCAN = {1: 600, 2: 48}  # points a dimension
POLISHED = 6  # the best minima of the scan are polished


@dataclass(frozen=True)
class Problem:
    """Centred variables x (T, N), values y (N,), and how residuals are counted."""

    law: Law
    x: np.ndarray
    y: np.ndarray
    loss: Loss = "lsq"
    delta: float = 1e-3
    space: Space = "raw"


@dataclass(frozen=True)
class Certificate:
    """What the scan saw: its points and minima, how far its best point lies above the optimum (relative), and the
    objective of the next best local optimum, if there is another."""

    scan_points: int
    scan_minima: int
    local_minima: int
    gap: float
    next_objective: float | None
    gradient: float  # the largest step that Newton's method would still take, relative
    bounds: tuple[str, ...]  # exponents that lie on the edge of the scan


def solve(problem: Problem) -> tuple[np.ndarray, Certificate]:
    """The globally best solution (c_0, …, theta_0, …) and its certificate."""
    starts, scan_minima, scan_points, best_scanned = scan(problem)
    polished = [polish(problem, start) for start in starts]
    polished.sort(key=lambda found: found[0])
    objective, solution = polished[0]
    others = [value for value, _ in polished[1:] if value > objective * (1 + 1e-6)]
    theta = solution[1 + problem.law.num_terms :]
    low, high = exponent_range(problem.x)
    edges = tuple(
        f"exponent {k + 1} = {value:.3g}" for k, value in enumerate(theta) if not low * 1.001 < value < high / 1.001
    )
    certificate = Certificate(
        scan_points=scan_points,
        scan_minima=scan_minima,
        local_minima=1 + len(set(np.round(np.log(others), 6))),
        gap=max(0.0, (best_scanned - objective) / objective) if objective > 0 else 0.0,
        next_objective=min(others) if others else None,
        gradient=newton_step(problem, solution),
        bounds=edges,
    )
    return solution, certificate


def exponent_range(x: np.ndarray) -> tuple[float, float]:
    """The exponents that are scanned, given the variables (T, N)."""
    spread = float(np.ptp(x, axis=1).max())
    return EXPONENT_RANGE[0] / spread, EXPONENT_RANGE[1] / spread


def scan(problem: Problem) -> tuple[list[np.ndarray], int, int, float]:
    """Starting solutions from the minima of the profile, their number, the points scanned, the best objective seen."""
    law, x, y = problem.law, problem.x, problem.y
    grid = np.geomspace(*exponent_range(x), SCAN[law.num_exponents])
    axes = np.meshgrid(*[grid] * law.num_exponents, indexing="ij")
    theta = np.stack([axis.ravel() for axis in axes], axis=1)  # (G, exponents)
    weights = 1 / y**2 if problem.space == "log" else np.ones_like(y)
    chunks = np.array_split(theta, max(1, len(theta) * y.size >> 19))
    found = [project(law, x, y, rows, weights) for rows in chunks]
    coefficients = np.concatenate([chunk for chunk, _ in found])
    profile = np.concatenate([left**2 @ weights for _, left in found])
    surface = np.concatenate([count(problem, residual_of(problem, y - left)) for _, left in found])
    minima = local_minima(surface.reshape(axes[0].shape))
    both = np.union1d(minima, local_minima(profile.reshape(axes[0].shape)))
    best = both[np.argsort(surface[both], kind="stable")][:POLISHED]
    return [np.concatenate([coefficients[g], theta[g]]) for g in best], len(minima), len(theta), float(surface[best[0]])


def project(
    law: Law, x: np.ndarray, y: np.ndarray, theta: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Best coefficients (G, 1 + T), and what they leave of y (G, N), for each row of exponents theta (G, exponents).

    Each term is taken as (exp(-theta x) - 1) / -theta, which stays apart from the constant for small exponents, and is
    centred, so that the small normal equations keep their digits.
    """
    total = weights.sum()
    middle = (weights @ y) / total
    rate = theta[:, list(law.exponents)]  # (G, T)
    columns = np.empty((*rate.shape, y.size))  # (G, T, N)
    for term in range(law.num_terms):
        alone, at = np.unique(rate[:, term], return_inverse=True)
        columns[:, term] = (-np.expm1(-alone[:, None] * x[term]) / alone[:, None])[at]
    means = columns @ weights / total
    columns -= means[:, :, None]
    weighted = columns * weights
    gram = weighted @ columns.transpose(0, 2, 1)
    right = weighted @ (y - middle)
    ridge = 1e-14 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(law.num_terms)
    slopes = np.linalg.solve(gram + ridge, right[:, :, None])[:, :, 0]  # (G, T)
    left = (y - middle) - np.einsum("gt,gtn->gn", slopes, columns)
    constant = middle - (slopes * means).sum(1) + (slopes / rate).sum(1)
    return np.concatenate([constant[:, None], -slopes / rate], axis=1), left


def local_minima(profile: np.ndarray) -> np.ndarray:
    """Flat indices of the points of a 1-D or 2-D grid that lie below all their neighbours."""
    padded = np.pad(profile, 1, constant_values=np.inf)
    inner = tuple(slice(1, -1) for _ in profile.shape)
    low = np.ones(profile.shape, bool)
    for shift in np.ndindex(*(3,) * profile.ndim):
        if any(step != 1 for step in shift):
            window = tuple(slice(step, step + size) for step, size in zip(shift, profile.shape, strict=True))
            low &= padded[inner] <= padded[window]
    return np.flatnonzero(low)


def polish(problem: Problem, start: np.ndarray) -> tuple[float, np.ndarray]:
    """The objective and the solution at the bottom of the valley where `start` lies."""
    box = box_of(problem)
    if problem.loss != "lad":
        return descend(lambda p: evaluate(problem, p), start, box)
    scale = float(np.median(np.abs(residuals(problem, start)))) or 1.0
    for power in (0, 1, 2, 4, 6):  # the least absolute residuals are the limit of Huber's loss for small delta
        smooth = Problem(problem.law, problem.x, problem.y, "huber", scale * 10.0**-power, problem.space)
        _, start = descend(lambda p, s=smooth: evaluate(s, p), start, box)  # type: ignore[misc]
    return interpolate(problem, start)


@np.errstate(all="ignore")  # a step that leaves the numbers is refused below
def interpolate(problem: Problem, start: np.ndarray) -> tuple[float, np.ndarray]:
    """The vertex near `start`: as many residuals as there are parameters vanish at a least absolute solution."""
    best = objective_of(problem, start)
    touched = np.argsort(np.abs(residuals(problem, start)), kind="stable")[: len(start)]
    solution = start
    for _ in range(20):
        value, slope, _ = curve(problem, solution)
        inner = residuals(problem, solution, value)[touched]
        rows = (slope / value if problem.space == "log" else slope)[:, touched].T
        try:
            solution = solution - np.linalg.solve(rows, inner)
        except np.linalg.LinAlgError:
            return best, start
        if not np.array_equal(box_of(problem).clip(solution), solution):
            return best, start
        reached = objective_of(problem, solution)
        if np.abs(inner).max() <= ROUNDING:
            break
    return (reached, solution) if reached <= best else (best, start)


def box_of(problem: Problem) -> Box:
    """Exponents stay within what was scanned; all else is free."""
    low, high = exponent_range(problem.x)
    coefficients = np.full(1 + problem.law.num_terms, np.inf)
    exponents = np.ones(problem.law.num_exponents)
    return Box(np.concatenate([-coefficients, low * exponents]), np.concatenate([coefficients, high * exponents]))


def newton_step(problem: Problem, solution: np.ndarray) -> float:
    """The largest relative change that another Newton step would make."""
    if problem.loss == "lad":
        return 0.0
    state = evaluate(problem, solution)
    moved = step(state, state.newton, box_of(problem).free(solution, state.gradient), 0.0)
    return float(np.max(np.abs(moved) / np.maximum(np.abs(solution), 1e-12)))


def curve(problem: Problem, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (N,), gradients (P, N) and Hessians (P, P, N) of the law at a solution with P entries."""
    law, x = problem.law, problem.x
    size, first = len(solution), 1 + law.num_terms
    slope, bend = np.zeros((size, x.shape[1])), np.zeros((size, size, x.shape[1]))
    slope[0] = 1.0
    value = np.full(x.shape[1], solution[0])
    for term, k in enumerate(law.exponents):
        at, scale = first + k, solution[1 + term]
        power = np.exp(-solution[at] * x[term])
        value = value + scale * power
        slope[1 + term] = power
        slope[at] -= scale * x[term] * power
        bend[1 + term, at] -= x[term] * power
        bend[at, 1 + term] -= x[term] * power
        bend[at, at] += scale * x[term] ** 2 * power
    return value, slope, bend


def residuals(problem: Problem, solution: np.ndarray, value: np.ndarray | None = None) -> np.ndarray:
    """Law minus data (N,), in the space of the fit; NaN where a logarithm does not exist."""
    return residual_of(problem, curve(problem, solution)[0] if value is None else value)


def residual_of(problem: Problem, value: np.ndarray) -> np.ndarray:
    """The residuals (…, N) of values of the law (…, N)."""
    if problem.space == "raw":
        return value - problem.y
    return np.log(np.where(value > 0, value, np.nan)) - np.log(problem.y)


def objective_of(problem: Problem, solution: np.ndarray) -> float:
    """Half the sum of squares, Huber's sum, or the sum of absolute residuals; infinite where the law is not defined."""
    return float(count(problem, residuals(problem, solution)))


def count(problem: Problem, r: np.ndarray) -> np.ndarray:
    """The objective (…,) of residuals (…, N)."""
    size = np.abs(r)
    if problem.loss == "lad":
        each = size
    elif problem.loss == "huber":
        each = np.where(size <= problem.delta, r * r / 2, problem.delta * (size - problem.delta / 2))
    else:
        each = r * r / 2
    total = each.sum(-1)
    return np.where(np.isfinite(total), total, np.inf)


def evaluate(problem: Problem, solution: np.ndarray) -> State:
    """The objective at a solution, with its derivatives."""
    with np.errstate(over="ignore", invalid="ignore"):
        value, slope, bend = curve(problem, solution)
        objective = objective_of(problem, solution)
    if not np.isfinite(objective):
        return State(np.inf, slope[:, 0], bend[:, :, 0], bend[:, :, 0])
    r = residuals(problem, solution, value)
    if problem.space == "log":
        slope = slope / value
        bend = bend / value - slope[:, None] * slope[None]
    force, stiffness = r, np.ones_like(r)
    weight = stiffness
    if problem.loss == "huber":
        size = np.maximum(np.abs(r), 1e-300)
        force = np.clip(r, -problem.delta, problem.delta)
        stiffness, weight = (size <= problem.delta).astype(float), np.minimum(1.0, problem.delta / size)
    newton = (slope * stiffness) @ slope.T + bend @ force
    return State(objective, slope @ force, newton, (slope * weight) @ slope.T)
