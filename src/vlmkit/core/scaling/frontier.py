"""The compute-optimal frontier and its relatives: every decision about a run is a minimum over ln N.

The questions are asked of many laws at once, the best one and every draw of the bootstrap, so that each answer comes
with what the points leave open. A law that has no optimum within reach (a term that is not positive) answers NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.scaling.bootstrap import ends
from vlmkit.core.scaling.curves import values_at
from vlmkit.core.scaling.evidence import Evidence
from vlmkit.core.scaling.fitting import Fit
from vlmkit.core.scaling.laws import FLOPS_PER_PARAMETER_AND_TOKEN
from vlmkit.core.scaling.wald import freedom

GRID = 96  # points of the first look at a minimum
GOLDEN = (5**0.5 - 1) / 2
SHRINKS = 60  # golden sections: a bracket of one grid step falls below the rounding of a flat minimum
HALVINGS = 64
FAR = 1e18  # what infinity counts as among draws
MOST = 70.0  # ln N or ln D that no one reaches
Along = Callable[[np.ndarray], np.ndarray]  # ln N or ln D (B,) -> an objective or a loss (B,)


@dataclass(frozen=True)
class Laws:
    """One law with B solutions, the first of which is the best."""

    fitted: Fit
    solutions: np.ndarray

    def loss(self, log_size: np.ndarray, log_tokens: np.ndarray) -> np.ndarray:
        """The loss (B,) of each law at its own ln N and ln D (B,)."""
        x = np.stack([log_size, log_tokens]) - self.fitted.centre[:, None]
        with np.errstate(all="ignore"):
            return values_at(self.fitted.law, self.solutions, x[:, :, None])[:, 0]

    def everywhere(self, value: float) -> np.ndarray:
        """The same number (B,) for each law."""
        return np.full(len(self.solutions), float(value))

    def tokens_for(self, loss: np.ndarray, log_size: np.ndarray) -> np.ndarray:
        """The ln D (B,) with which models of ln N (B,) reach losses (B,); infinite where no number of tokens does."""
        return reached(loss, lambda log_tokens: self.loss(log_size, log_tokens))

    def size_for(self, loss: np.ndarray, log_tokens: np.ndarray) -> np.ndarray:
        """The ln N (B,) with which models of ln D (B,) reach losses (B,); infinite where no size does."""
        return reached(loss, lambda log_size: self.loss(log_size, log_tokens))


def reached(loss: np.ndarray, along: Along) -> np.ndarray:
    """Where losses that fall with what they depend on come down to `loss` (B,), by bisection; infinite where never."""
    low, high = np.zeros_like(loss), np.full_like(loss, MOST)
    never = ~(along(high) <= loss)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = along(middle) <= loss
        low, high = np.where(below, low, middle), np.where(below, middle, high)
    return np.where(never, np.inf, (low + high) / 2)


@dataclass(frozen=True)
class Sample:
    """A number with its interval; NaN where there is none."""

    value: float
    low: float
    high: float


def laws_of(evidence: Evidence) -> Laws:
    """The best law and its draws.

    Raises:
        InputError: the law does not tell N from D.
    """
    fitted = evidence.loss
    if fitted.law.over != ("N", "D"):
        raise InputError(
            f"the law '{fitted.law.name}' of {', '.join(fitted.law.over)} has no frontier: it does not tell N from D",
            where="LAW",
            fix="fit gadre, chinchilla or kaplan",
        )
    draws = evidence.draws[0].solutions if evidence.draws else np.zeros((0, len(fitted.solution)))
    return Laws(fitted, np.concatenate([fitted.solution[None], draws]))


def sample(evidence: Evidence, values: np.ndarray, *, log: bool = True) -> Sample:
    """The best law's answer (the first of B) with the interval of the draws' (the rest), in the logarithm. Draws that
    say infinity count as such: where they are many, the upper end is infinite."""
    best = float(values[0])
    if len(values) == 1 or not np.isfinite(best):
        return Sample(best, np.nan, np.nan)
    with np.errstate(all="ignore"):
        scaled = np.log(values) if log else values
        scaled = np.where(np.isposinf(scaled), FAR, scaled)
        found = ends(scaled[1:, None], scaled[:1], evidence.level, freedom(evidence.loss))
        low, high = (np.inf if one[0] > FAR / 1e6 else float(np.exp(one[0]) if log else one[0]) for one in found)
    return Sample(best, low, high)


def unanswered(values: np.ndarray) -> float | None:
    """The share of the draws (all but the first of B) that have no finite answer; None without draws."""
    return float(np.mean(~np.isfinite(values[1:]))) if len(values) > 1 else None


def optimal(laws: Laws, flops: float) -> tuple[np.ndarray, np.ndarray]:
    """The ln N and ln D (B,) of least loss among all with 6 N D = flops."""
    total = np.log(flops / FLOPS_PER_PARAMETER_AND_TOKEN)
    size = lowest(lambda n: laws.loss(n, total - n), laws.everywhere(0.0), laws.everywhere(total))
    return size, total - size


def optimal_tokens(laws: Laws, log_size: np.ndarray) -> np.ndarray:
    """The ln D (B,) for which models of ln N (B,) are compute-optimal: no other split of 6 N D has a lower loss."""
    low, high = np.zeros_like(log_size), np.full_like(log_size, MOST)
    step = 1e-4
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        smaller = laws.loss(log_size - step, middle + step) < laws.loss(log_size + step, middle - step)
        low, high = np.where(smaller, middle, low), np.where(smaller, high, middle)
    return (low + high) / 2


def lowest(
    objective: Along, low: np.ndarray, high: np.ndarray, *, ends: tuple[bool, bool] = (False, False)
) -> np.ndarray:
    """Where objectives that fall and then rise are lowest (B,), between low and high (B,); NaN where that is an end,
    unless `ends` says that the lower or the upper one is a choice like any other."""
    shares = np.linspace(0.0, 1.0, GRID)
    with np.errstate(all="ignore"):
        values = np.stack([objective(low + share * (high - low)) for share in shares])
    values = np.where(np.isfinite(values), values, np.inf)
    at = values.argmin(0)
    inner = (ends[0] | (at > 0)) & (ends[1] | (at < GRID - 1)) & np.isfinite(values.min(0))
    first, last = np.maximum(at - 1, 0), np.minimum(at + 1, GRID - 1)
    left, right = low + shares[first] * (high - low), low + shares[last] * (high - low)
    a, b = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
    with np.errstate(all="ignore"):
        at_a, at_b = objective(a), objective(b)
        for _ in range(SHRINKS):
            falling = ~(at_a < at_b)  # what is not finite counts as high
            left, right = np.where(falling, a, left), np.where(falling, right, b)
            a, b = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
            at_a, at_b = objective(a), objective(b)
        sides = np.stack([(left + right) / 2, left, right])  # at the edge of what is possible one side is infinite
        values = np.stack([objective(one) for one in sides])
    values = np.where(np.isfinite(values), values, np.inf)
    return np.where(inner, sides[values.argmin(0), np.arange(sides.shape[1])], np.nan)


def frontier_row(evidence: Evidence, laws: Laws, flops: float) -> dict[str, object]:
    """The compute-optimal run for `flops`: N, D, D / N and the loss, each with its interval."""
    size, tokens = optimal(laws, flops)
    found = {
        "N": sample(evidence, np.exp(size)),
        "D": sample(evidence, np.exp(tokens)),
        "M": sample(evidence, np.exp(tokens - size)),
        "loss": sample(evidence, laws.loss(size, tokens)),
    }
    row: dict[str, object] = {"C": float(flops), "draws_without": unanswered(size)}
    for name, one in found.items():
        row |= {name: plain(one.value), f"{name}_low": plain(one.low), f"{name}_high": plain(one.high)}
    return row


def plain(value: float) -> float | None:
    """A number, or None where it is not finite."""
    return float(value) if np.isfinite(value) else None


def exponent(evidence: Evidence, laws: Laws, flops: float) -> Sample:
    """The exponent a of N* = k C^a near `flops`."""
    step = 0.5
    more, less = optimal(laws, flops * np.exp(step))[0], optimal(laws, flops * np.exp(-step))[0]
    return sample(evidence, (more - less) / (2 * step), log=False)
