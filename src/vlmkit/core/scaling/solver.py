"""Fitting y = g(c_0 + sum_k c_k phi_k(x; theta)) to the global optimum, without starting values from the user.

For given theta the law is linear, so its profile is scanned by variable projection over all sensible theta at once
(Golub and Pereyra 1973); every local minimum of the scan is then polished by Newton's method on the true objective. The
scan is the certificate: with one minimum on it, there is no better solution between its points. Nothing here stops on
an absolute size, so the answer depends neither on units nor on whether the objective is a sum or a mean.
"""

from dataclasses import dataclass, replace

import numpy as np

from vlmkit.core.scaling.curves import (
    Problem,
    count,
    curve,
    objective_of,
    residual_of,
    residuals,
    resolution,
    rows_of,
    unlinked,
    values_at,
)
from vlmkit.core.scaling.laws import Law, box, grid
from vlmkit.core.scaling.newton import ROUNDING, STEPS, Box, State, descend, step

POLISHED = 6  # the best minima of the scan are polished
MOST_STEPS = 2000  # of the best of them
VERTICES = 60  # linear programs on the way to a least absolute solution
SETTLED = 1e-9  # relative, of a step that is none


@dataclass(frozen=True)
class Certificate:
    """What the scan saw: its points and minima, how far its best point lies above the optimum (relative), and the
    objective of the next best local optimum, if there is another."""

    scan_points: int
    scan_minima: int
    local_minima: int
    gap: float
    next_objective: float | None
    gradient: float  # the largest step that would still be taken, relative
    bounds: tuple[str, ...]  # parameters whose exponents lie on the edge of the scan


def solve(problem: Problem) -> tuple[np.ndarray, Certificate]:
    """The globally best solution (c_0, …, theta_0, …) and its certificate."""
    starts, scan_minima, scan_points, best_scanned = scan(problem)
    polished = [polish(problem, start) for start in starts]
    polished.sort(key=lambda found: found[0])
    objective, solution = polished[0]
    if problem.loss == "lad":
        objective, solution, left = walk(problem, solution)
    else:
        left = newton_step(problem, solution)
        if left > SETTLED:  # along a flat valley the way is long
            objective, solution = polish(problem, solution, steps=MOST_STEPS)
            left = newton_step(problem, solution)
    least = max(objective * (1 + 1e-6), unknown(problem))
    others = [value for value, _ in polished[1:] if value > least]
    certificate = Certificate(
        scan_points=scan_points,
        scan_minima=scan_minima,
        local_minima=1 + len(set(np.round(np.log(others), 6))),
        gap=max(0.0, best_scanned - objective) / max(objective, unknown(problem)),
        next_objective=min(others) if others else None,
        gradient=left,
        bounds=edges(problem, solution),
    )
    return solution, certificate


def unknown(problem: Problem) -> float:
    """The objective below which nothing is known."""
    return float(count(problem, np.full_like(problem.y, resolution(problem))))


def edges(problem: Problem, solution: np.ndarray) -> tuple[str, ...]:
    """The exponents that lie on the edge of what was scanned, by the names of their parameters."""
    low, high = box(problem.law, problem.x)
    theta, names = solution[1 + problem.law.num_terms :], problem.law.parameters[-max(1, len(low)) :]
    near = 1e-3 * np.where(low > 0, np.abs(theta), high - low)
    inside = (low + near < theta) & (theta < high - near)
    return tuple(name for name, fine in zip(names, inside, strict=False) if not fine)


def scan(problem: Problem) -> tuple[list[np.ndarray], int, int, float]:
    """Starting solutions from the minima of the profile, their number, the points scanned, the best objective seen."""
    law, x, y = problem.law, problem.x, problem.y
    theta, form = grid(law, x)
    straight, speed = unlinked(law, y)
    weights = (speed / y) ** 2 if problem.space == "log" else speed**2
    chunks = np.array_split(theta, max(1, len(theta) * y.size >> 19))
    found = [project(law, x, straight, rows, weights) for rows in chunks]
    coefficients = np.concatenate([chunk for chunk, _ in found])
    profile = np.concatenate([left**2 @ weights for _, left in found])
    starts = np.concatenate([coefficients, theta], axis=1)
    if law.link == "identity":
        surface = np.concatenate([count(problem, residual_of(problem, y - left)) for _, left in found])
    else:
        surface = count(problem, residual_of(problem, values_at(law, starts, x)))
    minima = local_minima(surface.reshape(form))
    every = np.union1d(minima, local_minima(profile.reshape(form)))
    best = every[np.argsort(surface[every], kind="stable")][:POLISHED]
    return list(starts[best]), len(minima), len(theta), float(surface[best[0]])


def project(
    law: Law, x: np.ndarray, y: np.ndarray, theta: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Best coefficients (G, 1 + K), and what they leave of y (G, N), for each row of theta (G, Q).

    Columns are centred and brought to unit length, so that the small normal equations keep their digits.
    """
    total = weights.sum()
    middle = (weights @ y) / total
    columns = np.empty((len(theta), law.num_terms, y.size))
    for number, term in enumerate(law.terms):
        alone, at = np.unique(theta[:, list(term.theta)], axis=0, return_inverse=True)
        columns[:, number] = term.shape(alone, x[list(term.rows)], 0)[0][at.ravel()]
    means = columns @ weights / total
    columns -= means[:, :, None]
    lengths = np.sqrt((columns**2) @ weights)
    lengths[lengths == 0] = 1.0
    columns /= lengths[:, :, None]
    gram = (columns * weights) @ columns.transpose(0, 2, 1)
    right = columns @ (weights * (y - middle))
    ridge = 1e-14 * law.num_terms * np.eye(law.num_terms)
    slopes = np.linalg.solve(gram + ridge, right[:, :, None])[:, :, 0]
    left = (y - middle) - (slopes[:, None] @ columns)[:, 0]
    slopes = slopes / lengths
    return np.concatenate([(middle - (slopes * means).sum(1))[:, None], slopes], axis=1), left


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


def polish(problem: Problem, start: np.ndarray, *, steps: int = STEPS) -> tuple[float, np.ndarray]:
    """The objective and the solution at the bottom of the valley where `start` lies."""
    limits = box_of(problem)
    if problem.loss != "lad":
        return descend(lambda p: evaluate(problem, p), start, limits, steps=steps)
    scale = float(np.median(np.abs(residuals(problem, start)))) or 1.0
    for power in (0, 1, 2, 4, 6):  # the least absolute residuals are the limit of Huber's loss for small delta
        smooth = replace(problem, loss="huber", delta=scale * 10.0**-power)
        _, start = descend(lambda p, s=smooth: evaluate(s, p), start, limits)  # type: ignore[misc]
    return interpolate(problem, start)


@np.errstate(all="ignore")  # a step that leaves the numbers is refused below
def interpolate(problem: Problem, start: np.ndarray) -> tuple[float, np.ndarray]:
    """The vertex near `start`: as many residuals as there are parameters vanish at a least absolute solution."""
    best = objective_of(problem, start)
    touched = np.argsort(np.abs(residuals(problem, start)), kind="stable")[: len(start)]
    solution = start
    for _ in range(20):
        inner = residuals(problem, solution)[touched]
        try:
            solution = solution - np.linalg.solve(rows_of(problem, solution)[touched], inner)
        except np.linalg.LinAlgError:
            return best, start
        if not np.array_equal(box_of(problem).clip(solution), solution):
            return best, start
        reached = objective_of(problem, solution)
        if np.abs(inner).max() <= ROUNDING:
            break
    return (reached, solution) if reached <= best else (best, start)


def walk(problem: Problem, start: np.ndarray) -> tuple[float, np.ndarray, float]:
    """From vertex to vertex to a least absolute solution: its objective, the solution, and the largest relative step
    that the last linear program would still take.

    Each step is the least absolute solution of the law's linearisation within a radius (a linear program), which grows
    when the objective falls by it and shrinks when it does not.
    """
    solution, best, limits = start, objective_of(problem, start), box_of(problem)
    unit = np.maximum(np.abs(start), 1e-12)
    radius, left = 0.1, np.inf
    for _ in range(VERTICES):
        move = linear_step(problem, solution, unit * radius, limits)
        if move is None:
            break
        left = float(np.max(np.abs(move) / np.maximum(np.abs(solution), 1e-12)))
        if left <= SETTLED:
            break
        with np.errstate(all="ignore"):
            trial = limits.clip(solution + move)
            reached = objective_of(problem, trial)
        if reached < best * (1 - ROUNDING):
            solution, best, radius = trial, reached, min(2 * radius, 1.0)
        else:
            radius /= 4
    better, vertex = interpolate(problem, solution)
    return (better, vertex, left) if better <= best else (best, solution, left)


def linear_step(problem: Problem, solution: np.ndarray, radius: np.ndarray, limits: Box) -> np.ndarray | None:
    """The step (P,) within a radius (P,) to the least absolute residuals of the law's linearisation; None without."""
    from scipy.optimize import linprog
    from scipy.sparse import bmat, eye

    r, rows = residuals(problem, solution), rows_of(problem, solution)
    if not (np.isfinite(r).all() and np.isfinite(rows).all()):
        return None
    scaled, unit = rows * radius, float(np.abs(r).max()) or 1.0
    low = np.maximum((limits.low - solution) / radius, -1.0)
    high = np.minimum((limits.high - solution) / radius, 1.0)
    n, count = scaled.shape
    table = bmat([[scaled / unit, -eye(n)], [-scaled / unit, -eye(n)]], format="csc")
    bounds = [*zip(low, high, strict=True), *[(0.0, None)] * n]
    cost = np.concatenate([np.zeros(count), np.ones(n)])
    found = linprog(cost, A_ub=table, b_ub=np.concatenate([-r, r]) / unit, bounds=bounds, method="highs")
    return np.asarray(found.x[:count] * radius) if found.status == 0 else None


def box_of(problem: Problem) -> Box:
    """Theta stays within what was scanned; the coefficients are free."""
    low, high = box(problem.law, problem.x)
    free = np.full(1 + problem.law.num_terms, np.inf)
    return Box(np.concatenate([-free, low]), np.concatenate([free, high]))


def newton_step(problem: Problem, solution: np.ndarray) -> float:
    """The largest relative change that another Newton step would make."""
    state = evaluate(problem, solution)
    moved = step(state, state.newton, box_of(problem).free(solution, state.gradient), 0.0)
    return float(np.max(np.abs(moved) / np.maximum(np.abs(solution), 1e-12)))


@np.errstate(all="ignore")  # where a law overflows its objective is infinite, or a step there is refused
def evaluate(problem: Problem, solution: np.ndarray) -> State:
    """The objective at a solution, with its derivatives; least absolute residuals have none (see `polish`)."""
    assert problem.loss != "lad"
    value, slope, bend = curve(problem, solution)
    r = residual_of(problem, value)
    objective = float(count(problem, r))
    if not np.isfinite(objective):
        return State(np.inf, slope[:, 0], bend[:, :, 0], bend[:, :, 0])
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
    reweighted = (slope * weight) @ slope.T
    if not (np.isfinite(newton).all() and np.isfinite(reweighted).all()):
        objective = np.inf
    return State(objective, slope @ force, newton, reweighted)
