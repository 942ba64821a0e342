"""The columns of a ledger: one for each rule, with its stage and the bounds within which pages stay."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from vlmkit.core.curate.rules import Drop, Found

RESERVED = (
    "id",
    "place",
    "exact_duplicate",
    "minhash_duplicate",
    "bloom_duplicate",
    "mix",
    "contaminated",
)  # columns that no rule of a recipe takes


@dataclass(frozen=True)
class Column:
    """A rule as the ledger has it: its column, its stage, its name in the drop log, and the bounds within which pages
    stay; `strict` ones leave out their ends, and those that are not `tunable` cannot be others without a run."""

    name: str
    stage: str
    rule: str
    low: float = -math.inf
    high: float = math.inf
    strict: bool = False
    tunable: bool = True

    @classmethod
    def of(cls, found: Found, name: str, stage: str) -> "Column":
        """The column of a rule that finds values."""
        return cls(name, stage, found.rule, float(found.low), float(found.high), found.strict)

    @classmethod
    def left(cls, rule: str, name: str, stage: str) -> "Column":
        """The column of a step that says 1 of a page of which it leaves something, and 0 of another."""
        return cls(name, stage, rule, low=1, tunable=False)

    def inside(self, values: np.ndarray) -> np.ndarray:
        """Whether values (N,) are within the bounds; not a number is not."""
        if self.strict:
            return (values > self.low) & (values < self.high)
        return (values >= self.low) & (values <= self.high)

    def drop(self, value: float) -> Drop | None:
        """Why a page of this value goes."""
        return Found(self.rule, value, self.low, self.high, self.strict).drop()


def named(rule: str, taken: Collection[str]) -> str:
    """The name of a rule's column: its own, with a number where another column has that."""
    number, name = 1, rule
    while name in taken or name in RESERVED:
        number += 1
        name = f"{rule}_{number}"
    return name
