"""Approaches 1 and 2 of Hoffmann et al. 2022 beside the parametric one, with the bias that each has on these runs.

Approach 2 takes the vertex of a parabola in ln N through the runs of each compute budget; Approach 1 the run of least
loss at each compute, along training curves where runs have several checkpoints. Both then regress ln N on ln C. Both
are biased even without noise unless the two exponents are equal (arXiv 2603.22339), so each is repeated on noise-free
losses of the fitted law at the same places: what it then misses is its bias, and is taken off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlmkit.core.scaling.frontier import Laws, optimal
from vlmkit.core.scaling.laws import FLOPS_PER_PARAMETER_AND_TOKEN

WINDOW = 0.15  # ln C within which runs count as one compute budget
LEAST_RUNS = 5  # of a budget
LEAST_BUDGETS = 3
LEVELS = 60  # computes at which curves are compared


@dataclass(frozen=True)
class Minima:
    """Where an approach sees the least loss: ln N and ln D (K,) at ln C (K,)."""

    log_flops: np.ndarray
    log_size: np.ndarray
    log_tokens: np.ndarray


def isoflop_minima(log_size: np.ndarray, log_tokens: np.ndarray, loss: np.ndarray) -> Minima:
    """Approach 2: the vertex of each budget's parabola in ln N and, separately, in ln D, where the runs enclose it."""
    log_flops = np.log(FLOPS_PER_PARAMETER_AND_TOKEN) + log_size + log_tokens
    found = []
    for rows in budgets(log_flops, log_size):
        ends = [vertex(one[rows], loss[rows]) for one in (log_size, log_tokens)]
        if np.isfinite(ends).all():
            found.append((log_flops[rows].mean(), *ends))
    return Minima(*np.array(found, np.float64).reshape(-1, 3).T)


def budgets(log_flops: np.ndarray, log_size: np.ndarray) -> list[np.ndarray]:
    """The rows of each compute budget: the densest window first, until none has enough sizes, then in order of C."""
    left = np.arange(log_flops.size)
    found: list[np.ndarray] = []
    while left.size:
        inside = (log_flops[left][None] >= log_flops[left][:, None] - 1e-9) & (
            log_flops[left][None] <= log_flops[left][:, None] + WINDOW
        )
        rows = left[inside[int(inside.sum(1).argmax())]]
        if len(np.unique(log_size[rows].round(3))) < LEAST_RUNS:
            break
        found.append(rows)
        left = np.setdiff1d(left, rows)
    return sorted(found, key=lambda rows: float(log_flops[rows].mean()))


def vertex(x: np.ndarray, y: np.ndarray) -> float:
    """Where a parabola through points is lowest; NaN where it has no minimum among them."""
    middle = x.mean()
    bend, slope, _ = np.polyfit(x - middle, y, 2)
    lowest = middle - slope / (2 * bend) if bend > 0 else np.nan
    return float(lowest) if x.min() <= lowest <= x.max() else np.nan


def envelope_minima(log_size: np.ndarray, log_tokens: np.ndarray, loss: np.ndarray, names: Sequence[str]) -> Minima:
    """Approach 1: at each compute the run of least loss, its curve followed between checkpoints; without checkpoints
    the best run of each budget."""
    log_flops = np.log(FLOPS_PER_PARAMETER_AND_TOKEN) + log_size + log_tokens
    curves = [np.flatnonzero(np.array(names, dtype=object) == name) for name in dict.fromkeys(names)]
    curves = [rows[np.argsort(log_flops[rows])] for rows in curves if len(rows) > 1]
    if len(curves) < LEAST_BUDGETS:
        best = [rows[loss[rows].argmin()] for rows in budgets(log_flops, log_size)]
        return Minima(log_flops[best], log_size[best], log_tokens[best])
    starts, stops = (np.array([log_flops[rows[end]] for rows in curves]) for end in (0, -1))
    levels = np.linspace(np.sort(starts)[1], np.sort(stops)[-2], LEVELS)
    along = np.stack([np.interp(levels, log_flops[rows], loss[rows], left=np.inf, right=np.inf) for rows in curves])
    size = log_size[[rows[0] for rows in curves]][along.argmin(0)]
    return Minima(levels, size, levels - np.log(FLOPS_PER_PARAMETER_AND_TOKEN) - size)


def power_of_compute(minima: Minima, flops: float, *, level: float) -> dict[str, float] | None:
    """N* and D* at `flops` by a straight line in logarithms (statsmodels), with their confidence intervals, and the
    exponent of N with an interval that allows uneven scatter (HC3); None with too few budgets."""
    if minima.log_flops.size < LEAST_BUDGETS:
        return None
    import statsmodels.api as sm

    middle = minima.log_flops.mean()
    design = sm.add_constant(minima.log_flops - middle)
    there = np.array([[1.0, np.log(flops) - middle]])
    found: dict[str, float] = {}
    for name, values in (("N", minima.log_size), ("D", minima.log_tokens)):
        line = sm.OLS(values, design).fit()
        frame = line.get_prediction(there).summary_frame(alpha=1 - level)
        found[name] = float(np.exp(frame["mean"].iloc[0]))
        found[f"{name}_low"] = float(np.exp(frame["mean_ci_lower"].iloc[0]))
        found[f"{name}_high"] = float(np.exp(frame["mean_ci_upper"].iloc[0]))
        if name == "N":
            low, high = line.get_robustcov_results("HC3").conf_int(alpha=1 - level)[1]
            found |= {"exponent": float(line.params[1]), "exponent_low": float(low), "exponent_high": float(high)}
    return found


def compare(
    laws: Laws, log_size: np.ndarray, log_tokens: np.ndarray, loss: np.ndarray, names: Sequence[str], *,
    flops: float, level: float,
) -> dict[str, dict[str, float | int | None] | None]:  # fmt: skip
    """Both approaches at `flops`: what they say, by how much they would miss the law's own optimum without noise
    (`N_bias`, `D_bias`, fractions), and what is left when that is taken off."""
    best = Laws(laws.fitted, laws.solutions[:1])
    clean = best.fitted.at(np.stack([log_size, log_tokens]))
    size, tokens = (float(np.exp(one[0])) for one in optimal(best, flops))
    found: dict[str, dict[str, float | int | None] | None] = {}
    for name, minima in (
        ("approach1", lambda y: envelope_minima(log_size, log_tokens, y, names)),
        ("approach2", lambda y: isoflop_minima(log_size, log_tokens, y)),
    ):
        seen, ideal = minima(loss), minima(clean)
        said, without_noise = (power_of_compute(one, flops, level=level) for one in (seen, ideal))
        if said is None:
            found[name] = None
            continue
        row: dict[str, float | int | None] = {"budgets": int(seen.log_flops.size), **said}
        for key, true in (("N", size), ("D", tokens)):
            bias = None if without_noise is None or not np.isfinite(true) else without_noise[key] / true - 1
            row |= {f"{key}_bias": bias, f"{key}_corrected": None if bias is None else said[key] / (1 + bias)}
        found[name] = row
    return found
