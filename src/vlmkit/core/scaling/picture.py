"""What a picture of a fit shows, and the colours of its runs: one for a number of tokens a parameter, or a range."""

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps

from vlmkit.core.scaling.evidence import Evidence
from vlmkit.core.scaling.influence import Influence
from vlmkit.core.scaling.laws import FLOPS_PER_PARAMETER_AND_TOKEN
from vlmkit.core.scaling.points import Points

SAME, ALIKE = 1.09, 1.25  # ratios of multipliers: of neighbours in one colour, of all in one colour
MOST_COLOURS, RANGES = 10, 6  # more multipliers than that, or no gaps between them, and colours stand for ranges
INK, ODD, SIZE, DATA = "0.15", "#d55e00", "#0072b2", "#b36b00"  # told apart by the colour-blind
Colour = tuple[float, float, float, float] | str


@dataclass(frozen=True)
class Picture:
    """What is drawn: the laws with their evidence and the points of the fit, the points that were not fitted, the
    influence of the fitted ones, and likewise for the downstream law."""

    evidence: Evidence
    fitted: Points
    held_out: Points
    targets: Points
    label: str
    weight: Influence
    losses: Points  # the runs that the downstream law was fitted to, with their losses
    errors: Points | None = None  # the same runs with their errors
    errors_held_out: Points | None = None
    error_targets: Points | None = None
    error_label: str = ""


@dataclass(frozen=True)
class Group:
    """Runs of about one number of tokens a parameter: its ends and its middle (NaN where it is unknown), its colour."""

    low: float
    middle: float
    high: float
    shade: Colour

    @property
    def label(self) -> str:
        """Its name in the key."""
        ends = [f"{value:,.0f}" if value >= 100 else f"{value:.2g}" for value in (self.low, self.high)]
        return "unknown" if np.isnan(self.low) else ends[0] if self.high <= ALIKE * self.low else " to ".join(ends)

    def holds(self, runs: Points) -> np.ndarray:
        """Which runs (N,) belong to it."""
        ratio = multiplier(runs)
        return np.isnan(ratio) if np.isnan(self.low) else (ratio >= self.low) & (ratio <= self.high)


def grouped(picture: Picture) -> list[Group]:
    """The numbers of tokens a parameter, in groups of one colour."""
    every = multiplier(joined(picture.fitted, picture.held_out))
    known = np.sort(every[np.isfinite(every)])
    starts = np.flatnonzero(np.diff(np.log(known), prepend=-np.inf) > np.log(SAME))
    ends = np.append(starts[1:], known.size)[: len(starts)]
    if len(starts) > MOST_COLOURS or (known[ends - 1] > ALIKE * known[starts]).any():
        starts = np.unique(np.linspace(0, known.size, RANGES, endpoint=False).astype(int))
        ends = np.append(starts[1:], known.size)
    shades = colormaps["viridis"](np.linspace(0.0, 0.9, len(starts)))
    groups = [
        Group(known[start], float(np.median(known[start:end])), known[end - 1], tuple(shade))
        for start, end, shade in zip(starts, ends, shades, strict=True)
    ]
    return groups + ([Group(np.nan, np.nan, np.nan, "0.4")] if known.size < every.size else [])


def multiplier(runs: Points) -> np.ndarray:
    """Tokens a parameter (N,), NaN where N or D is no positive number."""
    return np.where(np.isfinite(runs.multiplier) & (runs.multiplier > 0), runs.multiplier, np.nan)


def joined(one: Points, other: Points) -> Points:
    """All runs of both."""
    size, tokens = np.append(one.size, other.size), np.append(one.tokens, other.tokens)
    flops, value = np.append(one.flops, other.flops), np.append(one.value, other.value)
    return Points(size, tokens, flops, value, one.names + other.names)


def along(picture: Picture, runs: Points) -> np.ndarray:
    """Where runs stand (N,) on the horizontal axis: the variable of the loss law, or 6 N D for a law of both."""
    flops = FLOPS_PER_PARAMETER_AND_TOKEN * runs.size * runs.tokens
    return {"N": runs.size, "D": runs.tokens, "C": runs.flops, "ND": flops}["".join(picture.evidence.loss.law.over)]


def foreseen(picture: Picture, runs: Points) -> np.ndarray:
    """The losses (N,) that the law says runs have."""
    return picture.evidence.loss.at(runs.places.variables(picture.evidence.loss.law))
