"""Newton's method within a box, damped, and without any threshold that depends on units.

Where Newton's own step does not descend, a reweighted least-squares step is tried, which always does for a small enough
step. The end is reached when neither lowers the objective any more, or promises to, in float64, however small it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ROUNDING = 4 * np.finfo(np.float64).eps
STEPS = 200
MOST_DAMPING = 1e10
SHARES = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01)  # of an undamped step that are tried


@dataclass(frozen=True)
class State:
    """The objective at a point, its gradient (P,), and two Hessians (P, P): Newton's, and the positive one of
    reweighted least squares."""

    value: float
    gradient: np.ndarray
    newton: np.ndarray
    reweighted: np.ndarray


Evaluate = Callable[[np.ndarray], State]


@dataclass(frozen=True)
class Box:
    """The least and largest values (P,) that a solution may take."""

    low: np.ndarray
    high: np.ndarray

    def free(self, point: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """The coordinates (P,) that are not pressed against a wall."""
        return ~(((point <= self.low) & (gradient > 0)) | ((point >= self.high) & (gradient < 0)))

    def clip(self, point: np.ndarray) -> np.ndarray:
        """The nearest point inside."""
        return np.clip(point, self.low, self.high)


def descend(evaluate: Evaluate, start: np.ndarray, box: Box, *, steps: int = STEPS) -> tuple[float, np.ndarray]:
    """The objective and the point at the bottom of the valley where `start` lies."""
    point = box.clip(start)
    state = evaluate(point)
    damping, idle = 0.0, 0
    for _ in range(steps):
        best: tuple[np.ndarray, State] | None = None
        for hessian in (state.newton, state.reweighted):
            found = along(
                evaluate,
                point,
                state,
                step(state, hessian, box.free(point, state.gradient), damping),
                box,
                SHARES if damping == 0 else (1.0,),
            )
            if found and (best is None or found[1].value < best[1].value):
                best = found
        if best is None:
            if promised(state, box.free(point, state.gradient)) <= ROUNDING * abs(state.value):
                break
            damping = max(4 * damping, 1e-10)
            if damping > MOST_DAMPING:
                break
            continue
        idle = idle + 1 if state.value - best[1].value <= ROUNDING * abs(state.value) else 0
        point, state = best
        damping = damping / 16 if damping > 1e-9 else 0.0
        if idle >= 3:
            break
    return settle(evaluate, point, state, box)


def along(
    evaluate: Evaluate, point: np.ndarray, state: State, move: np.ndarray, box: Box, shares: tuple[float, ...]
) -> tuple[np.ndarray, State] | None:
    """The first point of a shrinking step at which the objective is lower; None where none is. A shorter step keeps to
    a valley whose floor has kinks, as that of Huber's loss, where more damping would leave it."""
    for share in shares:
        trial = box.clip(point - share * move)
        found = evaluate(trial)
        if found.value < state.value:
            return trial, found
    return None


def promised(state: State, free: np.ndarray) -> float:
    """By how much a step would lower the objective, were it as the reweighted Hessian says."""
    return float(state.gradient @ step(state, state.reweighted, free, 0.0))


@np.errstate(all="ignore")  # a step that leaves the numbers is refused
def settle(evaluate: Evaluate, point: np.ndarray, state: State, box: Box) -> tuple[float, np.ndarray]:
    """A few last steps judged by the gradient: near its minimum the objective itself no longer tells points apart."""
    for _ in range(4):
        free = box.free(point, state.gradient)
        scale = scales(state)[free]
        trial = box.clip(point - step(state, state.newton, free, 0.0))
        found = evaluate(trial)
        flatter = np.linalg.norm(scale * found.gradient[free]) < np.linalg.norm(scale * state.gradient[free])
        if not (found.value <= state.value * (1 + ROUNDING) and flatter):
            break
        point, state = trial, found
    return state.value, point


def step(state: State, hessian: np.ndarray, free: np.ndarray, damping: float) -> np.ndarray:
    """The step (P,) |H + damping|^-1 g of the free coordinates, each scaled so that its unit does not matter."""
    taken = np.zeros_like(state.gradient)
    if free.any():
        scale = scales(state)[free]
        values, vectors = np.linalg.eigh(hessian[np.ix_(free, free)] * np.outer(scale, scale))
        values = np.maximum(np.abs(values), 1e-15) + damping  # of a matrix whose diagonal is about one
        taken[free] = scale * (vectors @ ((vectors.T @ (scale * state.gradient[free])) / values))
    return taken


def scales(state: State) -> np.ndarray:
    """The natural length (P,) of each coordinate; where the objective does not depend on one, it does not move."""
    diagonal = np.diagonal(state.reweighted)
    with np.errstate(divide="ignore"):
        return np.where(diagonal > diagonal.max() * 1e-30, 1 / np.sqrt(diagonal), 0.0)
