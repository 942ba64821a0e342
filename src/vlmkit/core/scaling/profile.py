"""Profile-likelihood intervals: every value of a quantity that the points do not speak against.

The interval of a quantity g holds each v for which the best solution with g = v has an objective at most
kappa t^2 / 2 above the optimum (Venzon and Moolgavkar 1988, with t for chi because the noise is estimated); kappa is
the noise variance with least squares, E[psi^2] / E[psi'] with robust losses. For a new run its noise e is one more
unknown, at the price of e^2. Where the objective never rises so far, the interval is open: an end is infinite. A
sigmoid's valleys, along which slope and middle trade, bend too far to be followed: its intervals are Wald's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vlmkit.core.scaling import wald
from vlmkit.core.scaling.batch import smoothed
from vlmkit.core.scaling.curves import jets
from vlmkit.core.scaling.fitting import Fit
from vlmkit.core.scaling.newton import Box
from vlmkit.core.scaling.solver import box_of, evaluate
from vlmkit.core.scaling.terms import sigmoid
from vlmkit.core.scaling.wald import (
    LOGARITHMIC,
    Ends,
    Prediction,
    covariance_factor,
    derivatives,
    freedom,
    influence,
    quantile,
)

Quantity = Callable[[np.ndarray], tuple[float, np.ndarray]]  # unknowns (P,) -> a number and its gradient (P,)
FARTHEST = 30.0  # half-widths of Wald's interval, beyond which an interval counts as open
TRIALS = 30
STEPS = 25
CLOSE = 1e-10  # how well the constraint is met, relative to the quantity's scale


@dataclass(frozen=True)
class Hill:
    """An objective (of P unknowns) in units in which 1/2 is one standard error, and the box of its unknowns."""

    value: Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]  # objective, gradient, Hessian
    best: np.ndarray
    box: Box
    errors: np.ndarray  # factor (P, Q) of the covariance


def hill(fitted: Fit, *, new: bool) -> Hill | None:
    """The objective around a fit; with `new`, one more unknown: the noise of a run to come."""
    factor = covariance_factor(fitted)
    if factor is None or fitted.noise is None:
        return None
    problem, size = smoothed(fitted.problem, fitted.solution), len(fitted.solution)
    kappa, noise = tuning(fitted), fitted.noise

    def value(p: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        state = evaluate(problem, p[:size])
        total, gradient, hessian = state.value / kappa, state.gradient / kappa, state.reweighted / kappa
        if not new:
            return total, gradient, hessian
        larger = np.zeros((size + 1, size + 1))
        larger[:size, :size], larger[size, size] = hessian, 1 / noise
        return total + p[size] ** 2 / (2 * noise), np.append(gradient, p[size] / noise), larger

    limits = box_of(problem)
    if not new:
        return Hill(value, fitted.solution, limits, factor)
    errors = np.zeros((size + 1, factor.shape[1] + 1))
    errors[:size, :-1], errors[size, -1] = factor, np.sqrt(noise)
    wide = Box(np.append(limits.low, -np.inf), np.append(limits.high, np.inf))
    return Hill(value, np.append(fitted.solution, 0.0), wide, errors)


def tuning(fitted: Fit) -> float:
    """How much objective makes half a standard error: E[psi^2] / E[psi'], the noise variance with least squares."""
    force, stiffness = influence(smoothed(fitted.problem, fitted.solution), fitted.residuals)
    return float(np.mean(force**2) / np.mean(stiffness)) * fitted.n / fitted.dof


@np.errstate(all="ignore")
def intervals(fitted: Fit, *, level: float) -> dict[str, Ends | None]:
    """The interval of every parameter and derived value; an end is infinite where it is open, None where none is."""
    if fitted.exact or fitted.law.terms[0].shape is sigmoid:  # no hill to climb, or valleys too bent to follow
        return wald.intervals(fitted, level=level)
    around = hill(fitted, new=False)
    if around is None:
        return dict.fromkeys(fitted.values)
    rise = quantile(level, freedom(fitted)) ** 2 / 2
    found: dict[str, Ends | None] = {}
    for name, value in fitted.values.items():
        log = name in LOGARITHMIC and value > 0

        def quantity(p: np.ndarray, name: str = name, log: bool = log) -> tuple[float, np.ndarray]:
            got = float(fitted.law.named(p, fitted.centre)[name])
            slope = derivatives(lambda q: {name: fitted.law.named(q, fitted.centre)[name]}, p)[name]
            return (float(np.log(got)), slope / got) if log else (got, slope)

        ends = [end(around, quantity, rise, side) for side in (-1, 1)]
        low, high = (float(np.exp(one)) for one in ends) if log else ends
        found[name] = None if np.isnan(low) or np.isnan(high) else (low, high)
    return found


@np.errstate(all="ignore")
def predict(fitted: Fit, x: np.ndarray, *, level: float) -> Prediction:
    """What the law says at variables x (T, N), with an interval for one new observation each."""
    if fitted.exact:
        return wald.predict(fitted, x, level=level)
    value, around = fitted.at(x), hill(fitted, new=True)
    low, high = np.full_like(value, np.nan), np.full_like(value, np.nan)
    if around is None:
        return Prediction(value, low, high)
    rise = quantile(level, freedom(fitted)) ** 2 / 2
    log = fitted.problem.space == "log"
    for row in range(x.shape[1]):
        place = (x[:, row] - fitted.centre)[:, None]

        def quantity(p: np.ndarray, place: np.ndarray = place) -> tuple[float, np.ndarray]:
            got, slope = jets(fitted.law, p[None, :-1], place, 1)
            value, along = float(got[0, 0]), slope[0, :, 0]
            value, along = (float(np.log(value)), along / value) if log else (value, along)
            return value + p[-1], np.append(along, 1.0)

        ends = [end(around, quantity, rise, side) for side in (-1, 1)]
        low[row], high[row] = np.exp(ends) if log else ends
    return Prediction(value, low, high)


def end(around: Hill, quantity: Quantity, rise: float, side: int) -> float:
    """Where the profile of a quantity has risen by `rise`, upwards (1) or downwards (-1) from its best value."""
    base = around.value(around.best)[0]
    middle, slope = quantity(around.best)
    unit = float(np.linalg.norm(slope @ around.errors)) * np.sqrt(2 * rise)  # half of Wald's interval
    if not (np.isfinite(unit) and unit > 0 and np.isfinite(middle)):
        return np.nan
    near, far = (0.0, -1.0, around.best), None  # (distance, root of the rise over the wanted, less one, where)
    trial = 1.0
    for _ in range(TRIALS):
        found = lowest(around, quantity, middle + side * trial * unit, near[2], unit)
        excess = np.inf if found is None else np.sqrt(max(0.0, found[0] - base) / rise) - 1
        if found is not None and excess <= 0:
            near = trial, excess, found[1]
        else:
            far = trial, excess
        if far is None and trial >= FARTHEST:
            return side * np.inf
        if abs(excess) < 1e-4 or (far and far[0] - near[0] < 1e-4 * far[0]):
            break
        trial = between(near, far) if far else min(1.7 * trial, FARTHEST)
    return middle + side * unit * (trial if abs(excess) < 1e-4 else near[0])


def between(near: tuple[float, float, np.ndarray], far: tuple[float, float]) -> float:
    """The next distance to try: by the secant, kept away from both ends; in the middle where one end has no value."""
    if not np.isfinite(far[1]):
        return (near[0] + far[0]) / 2
    share = near[1] / (near[1] - far[1])
    return near[0] + min(0.95, max(0.05, share)) * (far[0] - near[0])


def lowest(
    around: Hill, quantity: Quantity, wanted: float, start: np.ndarray, unit: float
) -> tuple[float, np.ndarray] | None:
    """The lowest objective, and where it lies, among solutions whose quantity is `wanted`; None if none is found."""
    point = meet(around, quantity, wanted, start, unit)
    if point is None:
        return None
    value, gradient, hessian = around.value(point)
    damping = 0.0
    for _ in range(STEPS):
        move = tangent_step(around, quantity, point, gradient, hessian, damping)
        trial = meet(around, quantity, wanted, point - move, unit)
        reached = around.value(trial) if trial is not None else None
        if trial is None or reached is None or not reached[0] < value:
            damping = max(4 * damping, 1e-6)
            if damping > 1e6:
                break
            continue
        gained = value - reached[0]
        point, (value, gradient, hessian) = trial, reached
        damping = damping / 16 if damping > 1e-5 else 0.0
        if gained < 1e-5:  # of the half that is one standard error
            break
    return value, point


def tangent_step(
    around: Hill, quantity: Quantity, point: np.ndarray, gradient: np.ndarray, hessian: np.ndarray, damping: float
) -> np.ndarray:
    """The Gauss-Newton step (P,) of the free unknowns along which the quantity does not change, to first order."""
    free = around.box.free(point, gradient)
    scale = scales_of(hessian)[free]
    normal = scale * quantity(point)[1][free]
    matrix = hessian[np.ix_(free, free)] * np.outer(scale, scale) + (damping + 1e-13) * np.eye(int(free.sum()))
    both = np.linalg.solve(matrix, np.stack([scale * gradient[free], normal], axis=1))
    along = both[:, 0] - both[:, 1] * (normal @ both[:, 0]) / (normal @ both[:, 1])
    step = np.zeros_like(point)
    step[free] = scale * along
    return step


def scales_of(hessian: np.ndarray) -> np.ndarray:
    """The natural length (P,) of each unknown."""
    diagonal = np.diagonal(hessian)
    return np.where(diagonal > diagonal.max() * 1e-30, 1 / np.sqrt(diagonal), 0.0)


def meet(around: Hill, quantity: Quantity, wanted: float, point: np.ndarray, unit: float) -> np.ndarray | None:
    """The nearest solution (in standard errors) whose quantity is `wanted`, by Newton; None where none is."""
    for _ in range(STEPS):
        point = around.box.clip(point)
        off, slope = quantity(point)
        off -= wanted
        if not np.isfinite(off):
            return None
        if abs(off) <= CLOSE * unit:
            return point
        lengths = around.errors @ (around.errors.T @ slope)
        speed = float(slope @ lengths)
        if not speed > 0:
            return None
        point = point - lengths * (off / speed)
    return None
