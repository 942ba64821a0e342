"""Many fits at once: the same points with other weights or other values, all begun at one known optimum.

The bootstrap and leave-one-out are batches of problems whose optima lie near that of all points. They are minimised
together by BFGS, whose first metric is the inverse Hessian there; every iteration makes one trial for each live problem
and takes it only when its objective falls. Theta keeps to the box of the scan: an entry that is pressed against a wall
leaves the metric by a rank-one downdate.
"""

from dataclasses import dataclass, replace

import numpy as np

from vlmkit.core.scaling.curves import Problem, jets, residual_of, sizes_of
from vlmkit.core.scaling.laws import box

ITERATIONS = 100
CHUNK = 1 << 17  # problems times points that are worked on together: their arrays stay in the cache
FLAT = 1e-10  # a relative fall of the objective that counts as none
LAD_DELTA = 0.01  # least absolute residuals are smoothed below this share of the median residual
TINY = 1e-300


@dataclass(frozen=True)
class Optima:
    """Solutions (B, P) and their objectives (B,)."""

    solutions: np.ndarray
    objectives: np.ndarray


def minimise(
    problem: Problem,
    start: np.ndarray,
    metric: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    values: np.ndarray | None = None,
) -> Optima:
    """The optima of B problems near `start` (P,), with the inverse Hessian `metric` (P, P) as first guess.

    Problem b has the points of `problem` with weights[b] (B, N) and the observed values values[b] (B, N); either may be
    left out.
    """
    size = len(weights) if weights is not None else len(values) if values is not None else 1
    problem = smoothed(problem, start)
    rows = max(1, CHUNK // max(1, problem.y.size))
    found = [
        chunk(
            replace(problem, y=problem.y if values is None else values[at : at + rows]),
            start,
            metric,
            np.ones((1, problem.y.size)) if weights is None else weights[at : at + rows],
            min(rows, size - at),
        )
        for at in range(0, size, rows)
    ]
    return Optima(np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found]))


def smoothed(problem: Problem, start: np.ndarray) -> Problem:
    """The problem itself or, for least absolute residuals, Huber's with a small delta."""
    if problem.loss != "lad":
        return problem
    r = np.abs(residual_of(problem, jets(problem.law, start[None], problem.x, 0)[0][0]))
    return replace(problem, loss="huber", delta=max(LAD_DELTA * float(np.median(r)), TINY))


@dataclass
class Front:
    """The problems that are not finished: where they stand, and which ones they are."""

    point: np.ndarray
    objective: np.ndarray
    gradient: np.ndarray
    metric: np.ndarray
    length: np.ndarray
    idle: np.ndarray
    which: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Front":
        return Front(*(value[rows] for value in vars(self).values()))


@np.errstate(all="ignore")  # a trial that leaves the numbers is refused
def chunk(
    problem: Problem, start: np.ndarray, metric: np.ndarray, weights: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Solutions (B, P) and objectives (B,) of one chunk."""
    count = len(start)
    low, high = box(problem.law, problem.x)
    walls = -np.full(count, np.inf), np.full(count, np.inf)
    walls[0][count - len(low) :], walls[1][count - len(low) :] = low, high
    point = np.repeat(start[None], size, axis=0)
    objective, gradient = measure(problem, point, weights)
    front = Front(
        point, objective, gradient, np.repeat(metric[None], size, axis=0), np.ones(size), np.zeros(size, int),
        np.arange(size),
    )  # fmt: skip
    solutions, objectives = point.copy(), objective.copy()
    for _ in range(ITERATIONS):
        front = advance(problem, front, weights, walls)
        solutions[front.which], objectives[front.which] = front.point, front.objective
        finished = (front.idle >= 2) | (front.length < 1e-9)
        if finished.mean() >= 0.1:
            front = front[~finished]
            weights = weights[~finished] if len(weights) > 1 else weights
            problem = replace(problem, y=problem.y[~finished]) if problem.y.ndim > 1 else problem
            if not len(front.which):
                break
    return solutions, objectives


def advance(problem: Problem, front: Front, weights: np.ndarray, walls: tuple[np.ndarray, np.ndarray]) -> Front:
    """One trial for each problem: taken where the objective falls, shortened where it does not."""
    heading = -(free_metric(front, walls) @ front.gradient[:, :, None])[:, :, 0]
    trial = np.clip(front.point + front.length[:, None] * heading, *walls)
    objective, gradient = measure(problem, trial, weights)
    taken = objective < front.objective
    moved, turned = trial - front.point, gradient - front.gradient
    curved = (moved * turned).sum(1)
    usable = taken & (curved > 1e-12 * np.linalg.norm(moved, axis=1) * np.linalg.norm(turned, axis=1))
    metric = np.where(usable[:, None, None], updated(front.metric, moved, turned, curved), front.metric)
    flat = front.objective - objective <= FLAT * front.objective
    return Front(
        np.where(taken[:, None], trial, front.point),
        np.where(taken, objective, front.objective),
        np.where(taken[:, None], gradient, front.gradient),
        metric,
        np.where(taken, 1.0, front.length * 0.25),
        np.where(taken, np.where(flat, front.idle + 1, 0), front.idle),
        front.which,
    )


def updated(metric: np.ndarray, moved: np.ndarray, turned: np.ndarray, curved: np.ndarray) -> np.ndarray:
    """The inverse Hessians (B, P, P) after BFGS's update."""
    rho = 1 / curved
    pushed = (metric @ turned[:, :, None])[:, :, 0]
    scale = rho * (1 + rho * (turned * pushed).sum(1))
    cross = moved[:, :, None] * pushed[:, None]
    own = moved[:, :, None] * moved[:, None]
    return metric + scale[:, None, None] * own - rho[:, None, None] * (cross + cross.transpose(0, 2, 1))


def free_metric(front: Front, walls: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The metrics (B, P, P) without the entries that are pressed against a wall."""
    metric = front.metric
    pressed = (front.point <= walls[0]) & (front.gradient > 0) | (front.point >= walls[1]) & (front.gradient < 0)
    for at in np.flatnonzero(pressed.any(0)):
        column = metric[:, :, at]
        without = metric - column[:, :, None] * column[:, None] / metric[:, at, at, None, None]
        metric = np.where(pressed[:, at, None, None], without, metric)
    return metric


def measure(problem: Problem, point: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Objectives (B,), infinite where a law is not defined, and gradients (B, P)."""
    value, slope = jets(problem.law, point, problem.x, 1)
    r = residual_of(problem, value)
    objective = np.einsum("bn,bn->b", np.broadcast_to(weights, r.shape), sizes_of(problem, r))
    force = weights * (np.clip(r, -problem.delta, problem.delta) if problem.loss == "huber" else r)
    if problem.space == "log":
        force = force / value
    return np.where(np.isfinite(objective), objective, np.inf), (slope @ force[:, :, None])[:, :, 0]
