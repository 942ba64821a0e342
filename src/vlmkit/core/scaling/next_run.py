"""Which run to make next: the affordable one that narrows the interval of a prediction most.

A run with gradient j and noise s^2 takes the covariance V of the solution to V - V j j'V / (s^2 + j'V j) (Sherman and
Morrison), and Student's t gets one more degree of freedom; neither depends on what the run will show.
"""

from dataclasses import dataclass

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.scaling.batch import smoothed
from vlmkit.core.scaling.curves import jets
from vlmkit.core.scaling.evidence import Places
from vlmkit.core.scaling.fitting import Fit
from vlmkit.core.scaling.laws import FLOPS_PER_PARAMETER_AND_TOKEN
from vlmkit.core.scaling.wald import covariance_factor, freedom, influence, quantile

SIZES, MULTIPLIERS = 24, 16  # of the candidates
BEYOND = 2.0  # times the largest fitted multiplier; nothing below the fitted runs, where no law was seen to hold
Row = dict[str, object]


@dataclass(frozen=True)
class Limits:
    """What a run may be: FLOPs, parameters, tokens."""

    flops: float
    max_size: float | None = None
    max_tokens: float | None = None


def candidates(fitted: Fit, limits: Limits) -> Places:
    """Affordable runs (N,): sizes from the smallest fitted one on, multipliers about those of the fitted runs.

    Raises:
        InputError: nothing is affordable.
    """
    x = fitted.problem.x + fitted.centre[:, None]
    smallest = float(np.exp(x[0].min()))
    ratio = np.exp(x[1] - x[0])
    multipliers = np.geomspace(ratio.min(), ratio.max() * BEYOND, MULTIPLIERS)
    largest = np.sqrt(limits.flops / (FLOPS_PER_PARAMETER_AND_TOKEN * multipliers[0]))
    sizes = np.geomspace(smallest, max(largest, smallest), SIZES)
    size, times = (one.ravel() for one in np.meshgrid(sizes, multipliers))
    places = Places.of(size, size * times)
    fits = places.flops <= limits.flops
    if not fits.any():
        least = FLOPS_PER_PARAMETER_AND_TOKEN * smallest**2 * multipliers[0]
        raise InputError(f"no run costs {limits.flops:.3g} FLOPs or less", where="--budget", fix=f"{least:.2g} or more")
    fits &= places.size <= (limits.max_size or np.inf)
    fits &= places.tokens <= (limits.max_tokens or np.inf)
    if not fits.any():
        raise InputError(
            "no run keeps to these caps",
            where="--max-params, --max-tokens",
            fix=f"{smallest:.2g} parameters and {smallest * multipliers[0]:.2g} tokens or more",
        )
    return Places(places.size[fits], places.tokens[fits], places.flops[fits])


def next_runs(fitted: Fit, asked: Places, limits: Limits, *, level: float, shown: int = 5) -> dict[str, object]:
    """The half-width of a prediction's interval now, and after each of the most telling runs.

    `asked` holds one place; half-widths are in the space of the fit (relative with log residuals).

    Raises:
        InputError: the fit has no error to narrow.
    """
    factor, noise = covariance_factor(fitted), fitted.noise
    if factor is None or noise is None:
        raise InputError(
            "this fit does not know its error, so no run can be said to narrow it",
            where="LAW",
            fix="fit at least one run more than parameters",
        )
    tried = candidates(fitted, limits)
    wanted, rows = gradients(fitted, asked) @ factor, gradients(fitted, tried) @ factor  # (1, Q), (N, Q)
    now = float((wanted**2).sum())
    gained = (rows @ wanted[0]) ** 2 / (noise_of(fitted) + (rows**2).sum(1))
    before = quantile(level, freedom(fitted)) * np.sqrt(now + noise)
    after = quantile(level, freedom(fitted) + 1) * np.sqrt(np.maximum(now - gained, 0.0) + noise)
    best = distinct(after, tried, shown)
    return {
        "unit": "fraction of the loss" if fitted.problem.space == "log" else "loss",
        "half_width": float(before),
        "half_width_any_run": float(quantile(level, freedom(fitted) + 1) * np.sqrt(now + noise)),
        "runs": [
            {
                "N": float(tried.size[at]),
                "D": float(tried.tokens[at]),
                "M": float(tried.tokens[at] / tried.size[at]),
                "C": float(tried.flops[at]),
                "half_width": float(after[at]),
                "narrower_by": float(1 - after[at] / before),
            }
            for at in best
        ],
    }


def distinct(after: np.ndarray, tried: Places, shown: int) -> list[int]:
    """The best candidates, each unlike the better ones in size or in tokens by a factor of 1.5."""
    best: list[int] = []
    for at in np.argsort(after, kind="stable"):
        far = [
            max(abs(np.log(tried.size[at] / tried.size[one])), abs(np.log(tried.tokens[at] / tried.tokens[one])))
            for one in best
        ]
        if all(one > np.log(1.5) for one in far):
            best.append(int(at))
        if len(best) == shown:
            break
    return best


def gradients(fitted: Fit, places: Places) -> np.ndarray:
    """The gradient (N, P) of the law at places, in the space of the fit."""
    value, slope = jets(fitted.law, fitted.solution[None], places.variables(fitted.law) - fitted.centre[:, None], 1)
    return (slope[0] / value[0] if fitted.problem.space == "log" else slope[0]).T


def noise_of(fitted: Fit) -> float:
    """The variance with which one run tells the law: the noise itself with least squares, E[psi^2] / E[psi']^2 with
    robust losses."""
    assert fitted.noise is not None
    if fitted.problem.loss == "lsq":
        return fitted.noise
    force, stiffness = influence(smoothed(fitted.problem, fitted.solution), fitted.residuals)
    return float(np.mean(force**2) / np.mean(stiffness) ** 2) * fitted.n / fitted.dof
