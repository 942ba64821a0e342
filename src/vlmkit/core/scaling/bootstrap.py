"""The bootstrap: a law fitted again and again to runs drawn anew, all fits at once.

`pairs` draws runs with replacement, `cluster` whole clusters of them (a run with its checkpoints); `residual` keeps the
runs and draws their residuals, `wild` turns each residual's sign at random (Mammen 1993; Davidson and Flachaire 2008).
Residuals are first divided by sqrt(1 - leverage), so that they are as wide as the noise. With few runs pairs degenerate
(draws with fewer different runs than parameters), so `auto` draws residuals there. Percentiles are stretched about the
estimate by t / z, for the noise is estimated from the same few runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vlmkit.core.scaling.batch import Optima, minimise, smoothed
from vlmkit.core.scaling.curves import Problem, objective_of, rows_of, values_at
from vlmkit.core.scaling.fitting import Fit
from vlmkit.core.scaling.laws import box
from vlmkit.core.scaling.solver import solve, unknown
from vlmkit.core.scaling.wald import LOGARITHMIC, Ends, Prediction, covariance_factor, freedom, influence, quantile

Kind = Literal["auto", "pairs", "residual", "wild", "cluster"]
FEW = 30  # below so many points pairs are no good
CHECKED = 3  # draws that are solved again from nothing: so many of the first, and of the farthest
PUBLISHED_SEED = 42  # of Besiroglu et al. 2024: the default seed 0 repeats their resamples
TINY = 1e-300
NOISE_SEED = 1  # of the noise that a new run has in each draw


@dataclass(frozen=True)
class Draws:
    """What a bootstrap gave: solutions (B, P) about the centre of the fit, and how it went.

    `worst_gap` is how far the objective of a draw lay above its global optimum, relatively, among those solved again.
    """

    kind: str
    solutions: np.ndarray
    objectives: np.ndarray
    on_bound: int
    worst_gap: float

    @property
    def count(self) -> int:
        """How many draws."""
        return len(self.solutions)


def kind_of(kind: Kind, problem: Problem) -> str:
    """The kind that `auto` stands for."""
    if problem.cluster is not None and kind in ("auto", "pairs"):
        return "cluster"
    if kind != "auto":
        return kind
    return "pairs" if problem.y.size >= FEW else "residual"


def draw(fitted: Fit, *, count: int, kind: Kind, seed: int) -> Draws:
    """Fit the law to `count` bootstrap samples; none without degrees of freedom."""
    groups = fitted.order if fitted.problem.cluster is None else fitted.problem.cluster
    return joint([fitted], [groups], count=count, kind=kind, seed=seed)[0]


def joint(fits: Sequence[Fit], names: Sequence[np.ndarray], *, count: int, kind: Kind, seed: int) -> list[Draws]:
    """Draws of several laws in step: with pairs or clusters, the same runs are drawn for all of them.

    names[f] (N,) are the numbers of the runs (or of their clusters) of fit f, in the order of its problem.
    """
    chosen = {kind_of(kind, one.problem) for one in fits}
    if chosen <= {"pairs", "cluster"} and all(map(drawable, fits)) and count:
        every = np.unique(np.concatenate(names))
        weights = resample(len(every), count, seed)
        return [
            refit(one, kind_of(kind, one.problem), weights=weights[:, np.searchsorted(every, own)])
            for one, own in zip(fits, names, strict=True)
        ]
    return [alone(one, count=count, kind=kind_of(kind, one.problem), seed=seed + at) for at, one in enumerate(fits)]


def drawable(fitted: Fit) -> bool:
    """Whether draws would tell anything: points beyond the parameters, which they determine."""
    return covariance_factor(fitted) is not None


def alone(fitted: Fit, *, count: int, kind: str, seed: int) -> Draws:
    """Draws of one law by itself."""
    if not drawable(fitted) or count == 0:
        return Draws(kind, np.zeros((0, len(fitted.solution))), np.zeros(0), 0, 0.0)
    if kind in ("pairs", "cluster"):
        groups = fitted.order if fitted.problem.cluster is None else fitted.problem.cluster
        every, at = np.unique(groups, return_inverse=True)
        return refit(fitted, kind, weights=resample(len(every), count, seed)[:, at])
    return refit(fitted, kind, values=renew(fitted, kind, count, seed))


def stream(seed: int) -> np.random.RandomState:
    """NumPy's legacy generator, which takes 32 bits."""
    return np.random.RandomState(seed % 2**32)


def resample(size: int, count: int, seed: int) -> np.ndarray:
    """How often each of `size` runs is drawn in each of `count` samples (B, N).

    The stream is that of NumPy's legacy generator, which never changes, and begins at its 42 for our seed 0: over the
    rows of the published table these are the resamples of Besiroglu et al. 2024.
    """
    chosen = stream(PUBLISHED_SEED + seed).randint(0, size, (count, size))
    flat = chosen + size * np.arange(count)[:, None]
    return np.bincount(flat.ravel(), minlength=count * size).reshape(count, size).astype(np.float64)


def renew(fitted: Fit, kind: str, count: int, seed: int) -> np.ndarray:
    """Values (B, N): those of the law with residuals put on anew."""
    problem, generator = fitted.problem, stream(seed)
    law = values_at(problem.law, fitted.solution, problem.x)
    r = -widened(fitted)  # data minus law
    if kind == "residual":
        middle = r.mean() if problem.loss == "lsq" else 0.0  # a robust law lies where outliers do not draw the mean
        noise = (r - middle)[generator.randint(0, r.size, (count, r.size))]
    else:
        groups = np.arange(r.size) if problem.cluster is None else problem.cluster
        names, at = np.unique(groups, return_inverse=True)
        noise = r * generator.choice([-1.0, 1.0], (count, len(names)))[:, at]
    return law * np.exp(noise) if problem.space == "log" else law + noise


def widened(fitted: Fit) -> np.ndarray:
    """Residuals (N,), each over sqrt(1 - its leverage)."""
    rows = rows_of(fitted.problem, fitted.solution)
    scale = np.sqrt((rows**2).sum(0))
    basis = np.linalg.qr(rows / np.where(scale > 0, scale, 1.0))[0]
    return fitted.residuals / np.sqrt(np.maximum(1 - (basis**2).sum(1), 1e-6))


def refit(fitted: Fit, kind: str, *, weights: np.ndarray | None = None, values: np.ndarray | None = None) -> Draws:
    """The fits to given draws: weights (B, N) of the points, or values (B, N) at them, sorted as the fit's."""
    problem = fitted.problem
    found = minimise(problem, fitted.solution, metric_of(fitted), weights=weights, values=values)
    low, high = box(problem.law, problem.x)
    theta = found.solutions[:, found.solutions.shape[1] - len(low) :]
    pressed = ((theta <= low) | (theta >= high)).any(1)
    gap = check(fitted, found, weights, values)
    return Draws(kind, found.solutions, found.objectives, int(pressed.sum()), gap)


def metric_of(fitted: Fit) -> np.ndarray:
    """The inverse Hessian (P, P) of the objective at the optimum, as the batch begins with."""
    problem = smoothed(fitted.problem, fitted.solution)
    rows = rows_of(problem, fitted.solution)
    _, stiffness = influence(problem, fitted.residuals)
    scale = np.sqrt((rows**2).sum(0))
    scale[scale == 0] = 1.0
    hessian = (rows / scale * stiffness[:, None]).T @ (rows / scale)
    values, vectors = np.linalg.eigh(hessian)
    values = np.maximum(values, 1e-13 * values.max())
    return (vectors / values) @ vectors.T / np.outer(scale, scale)


def check(fitted: Fit, found: Optima, weights: np.ndarray | None, values: np.ndarray | None) -> float:
    """Solve a few draws from nothing; how far the batch's objective lay above, relatively, at worst."""
    problem, worst = smoothed(fitted.problem, fitted.solution), 0.0
    away = np.linalg.norm((found.solutions - fitted.solution) / np.maximum(found.solutions.std(0), TINY), axis=1)
    for at in {*range(min(CHECKED, len(away))), *np.argsort(-away, kind="stable")[:CHECKED].tolist()}:
        times = np.ones(fitted.n, int) if weights is None else weights[at].astype(int)
        y = problem.y if values is None else values[at]
        alone = replace(problem, x=np.repeat(problem.x, times, axis=1), y=np.repeat(y, times))
        if len(np.unique(alone.x, axis=1).T) <= problem.law.num_parameters:
            continue
        best = objective_of(alone, solve(alone)[0])
        worst = max(worst, float(found.objectives[at] - best) / max(best, unknown(problem)))
    return worst


@np.errstate(all="ignore")
def named(fitted: Fit, draws: Draws) -> dict[str, np.ndarray]:
    """Parameters and derived values (B,) of the draws."""
    return {
        name: np.broadcast_to(value, draws.count)
        for name, value in fitted.law.named(draws.solutions, fitted.centre).items()
    }


@np.errstate(all="ignore")  # a parameter may be infinite: then there is no interval
def intervals(fitted: Fit, draws: Draws, *, level: float) -> dict[str, Ends | None]:
    """The interval of every parameter and derived value; that of a positive factor in its logarithm."""
    samples, values = named(fitted, draws), fitted.values
    if not draws.count:
        return dict.fromkeys(values)
    found: dict[str, Ends | None] = {}
    for name, value in values.items():
        own, best = samples[name][:, None], np.array([value])
        if name in LOGARITHMIC and value > 0:
            own, best = np.log(np.maximum(own, TINY)), np.log(best)
            low, high = np.exp(ends(own, best, level, freedom(fitted)))
        else:
            low, high = ends(own, best, level, freedom(fitted))
        found[name] = (float(low[0]), float(high[0])) if np.isfinite([low[0], high[0]]).all() else None
    return found


def ends(samples: np.ndarray, value: np.ndarray, level: float, dof: int) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles of samples (B, N), stretched about the values (N,) by t / z."""
    none = ~np.isfinite(samples).any(0)
    samples = np.where(none, 0.0, np.where(np.isfinite(samples), samples, np.nan))
    if not samples.size:
        return np.full_like(value, np.nan), np.full_like(value, np.nan)
    tail = 50 * (1 - level)
    with np.errstate(all="ignore"):
        low, high = np.nanpercentile(samples, [tail, 100 - tail], axis=0)
    low, high = np.where(none, np.nan, low), np.where(none, np.nan, high)
    wide = quantile(level, dof) / quantile(level, 10**9)
    return value - wide * (value - low), value + wide * (high - value)


def sampled(fitted: Fit, draws: Draws, x: np.ndarray, *, new: bool = True) -> np.ndarray:
    """What each draw says (B, N) at variables x (T, N); with `new`, of a new run there, noise and all."""
    with np.errstate(all="ignore"):
        value = values_at(fitted.law, draws.solutions, x - fitted.centre[:, None])
        if not new or fitted.noise is None:
            return value
        noise = np.sqrt(fitted.noise) * np.random.RandomState(NOISE_SEED).standard_normal((len(value), 1))
        return value * np.exp(noise) if fitted.problem.space == "log" else value + noise


def predict(fitted: Fit, draws: Draws, x: np.ndarray, *, level: float) -> Prediction:
    """What the law says at variables x (T, N), with an interval for one new observation each."""
    value = fitted.at(x)
    if not draws.count:
        return Prediction(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    return Prediction(value, *ends(sampled(fitted, draws, x), value, level, freedom(fitted)))


def chain(fits: tuple[Fit, Fit], draws: tuple[Draws, Draws], x: np.ndarray, *, level: float) -> Prediction:
    """Errors at x (T, N) through predicted losses: draw b of one law is taken through draw b of the other."""
    (loss, error), (first, second) = fits, draws
    value = error.at(loss.at(x)[None])
    count = min(first.count, second.count)
    if not count:
        return Prediction(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    losses = sampled(loss, first, x)[:count]
    with np.errstate(all="ignore"):
        errors = values_at(error.law, second.solutions[:count], losses[None] - error.centre[:, None, None])
        if error.noise is not None:
            noise = np.random.RandomState(NOISE_SEED + 1).standard_normal((count, 1))
            errors = errors + np.sqrt(error.noise) * noise
    return Prediction(value, *ends(errors, value, level, min(freedom(loss), freedom(error))))
