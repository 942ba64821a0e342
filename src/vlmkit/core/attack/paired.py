"""Two classifiers on the same images: which is the more robust, and whether the images can tell."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from vlmkit.core.attack.outcome import withstands

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Paired:
    """Of n images both models withstand at a radius, only one does, or none."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @classmethod
    def of(cls, a: Sequence[Row], b: Sequence[Row], eps: float) -> "Paired":
        """Count rows of two runs, matched in order."""
        pairs = [(withstands(one, eps), withstands(other, eps)) for one, other in zip(a, b, strict=True)]
        return cls(*(pairs.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))))

    @property
    def n(self) -> int:
        """Images."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def p(self) -> float:
        """Of the exact McNemar test: how likely so uneven a split of the images on which they differ is by chance."""
        return float(mcnemar([[self.both, self.only_a], [self.only_b, self.neither]], exact=True).pvalue)

    @property
    def difference(self) -> float:
        """Robust accuracy of a less that of b."""
        return (self.only_a - self.only_b) / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Of the difference, at 95 percent: Newcombe's square-and-add interval of paired shares (1998, method 10), from
        Wilson's of each and their correlation."""
        a, b = self.both + self.only_a, self.both + self.only_b
        (low_a, high_a), (low_b, high_b) = (
            proportion_confint(count, self.n, alpha=0.05, method="wilson") for count in (a, b)
        )
        phi, share_a, share_b = self.correlation, a / self.n, b / self.n
        below_a, above_a, below_b, above_b = share_a - low_a, high_a - share_a, share_b - low_b, high_b - share_b
        down = math.sqrt(max(below_a**2 - 2 * phi * below_a * above_b + above_b**2, 0.0))
        up = math.sqrt(max(above_a**2 - 2 * phi * above_a * below_b + below_b**2, 0.0))
        return self.difference - down, self.difference + up

    @property
    def correlation(self) -> float:
        """Of the two models over the images, corrected for continuity as Newcombe does where it is positive."""
        rows = (self.both + self.only_a, self.only_b + self.neither)
        columns = (self.both + self.only_b, self.only_a + self.neither)
        scale = math.sqrt(rows[0] * rows[1] * columns[0] * columns[1])
        if scale == 0:
            return 0.0
        cross = self.both * self.neither - self.only_a * self.only_b
        return (max(cross - self.n / 2, 0) if cross > 0 else cross) / scale
