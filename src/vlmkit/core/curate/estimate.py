"""From a sample of pages to the whole input: how many pages each stage keeps, with an interval.

A share is a ratio of pages weighted by how many they stand for; its interval is Wilson's (1927) with the effective
number of pages, since pages that lie beside each other are alike: n over the design effect (Kish 1965), which is the
variance between stretches of pages over that of as many pages drawn one by one. A sample of a fraction f of all pages
has 1 / (1 - f) times the weight; of the whole input, no interval is left. The number of pages has an error of its own,
and that of kept pages takes both: their distances to the ends are added by squares (Zou and Donner 2008).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z = 1.959964  # standard errors of an interval of 95 %


@dataclass(frozen=True)
class Estimate:
    """A number with the ends of its interval; None where nothing bounds it."""

    value: float
    low: float | None
    high: float | None

    def rounded(self, digits: int | None = None) -> dict[str, float | None]:
        """The same for --json."""
        ends = {"low": self.low, "high": self.high}
        return {"value": round(self.value, digits)} | {
            k: None if v is None else round(v, digits) for k, v in ends.items()
        }


@dataclass(frozen=True)
class Counts:
    """Stretches of a sample: pages in each (S,), how many pages of the input each page stands for (S,), and the
    standard error of their sum, the number of all pages."""

    pages: np.ndarray
    weights: np.ndarray
    error: float

    @property
    def total(self) -> float:
        """About how many pages the input has."""
        return float(self.pages @ self.weights)

    def all_pages(self) -> Estimate:
        """The same with its interval."""
        reach = Z * self.error
        return Estimate(self.total, max(float(self.pages.sum()), self.total - reach), self.total + reach)


def shares(counts: Counts, kept: Sequence[np.ndarray]) -> list[Estimate]:
    """The share of all pages that each stage keeps, from the pages that are left in each stretch (S,)."""
    every = [float(one @ counts.weights) / counts.total for one in kept]
    effects = [design_effect(counts, one, share) for one, share in zip(kept, every, strict=True)]
    worst = max([1.0, *(effect for effect in effects if effect is not None)])  # for shares of 0 and 1, which show none
    number = float(counts.pages.sum())
    left = max(0.0, 1 - number / counts.total)
    return [
        Estimate(share, *wilson(share, number / (worst if effect is None else effect), left))
        for share, effect in zip(every, effects, strict=True)
    ]


def design_effect(counts: Counts, kept: np.ndarray, share: float) -> float | None:
    """The variance of a share between stretches over p (1 - p) / n, at least 1; None where all pages are alike."""
    plain = share * (1 - share) / float(counts.pages.sum())
    some = len(counts.pages) - 1
    if plain <= 1e-12 or some < 1:
        return None
    spread = float((((kept - share * counts.pages) * counts.weights) ** 2).sum())
    return max(1.0, spread * (some + 1) / some / counts.total**2 / plain)


def wilson(share: float, number: float, left: float = 1.0) -> tuple[float, float]:
    """Wilson's interval of a share among so many pages, where a fraction `left` of all pages was not looked at."""
    square = Z * Z * left / number
    middle = (share + square / 2) / (1 + square)
    reach = math.sqrt(square * share * (1 - share) + square * square / 4) / (1 + square)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def number_kept(pages: Estimate, share: Estimate, error: float) -> Estimate:
    """How many pages are kept, from all pages, whose standard error is given, and the share."""
    assert share.low is not None
    assert share.high is not None
    value, other = pages.value * share.value, Z * error * share.value
    low = value - math.hypot((share.value - share.low) * pages.value, other)
    high = value + math.hypot((share.high - share.value) * pages.value, other)
    return Estimate(value, max(0.0, low), high)
