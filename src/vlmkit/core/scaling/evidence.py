"""Fits with what is known of their error, by one of three methods; everything that is said of a law asks here.

The loss law predicts from N, D or C; a downstream law predicts errors from the losses that the loss law predicts, or,
where it is a law of C, directly.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from vlmkit.core.scaling import bootstrap, profile, wald
from vlmkit.core.scaling.bootstrap import Draws
from vlmkit.core.scaling.fitting import Fit
from vlmkit.core.scaling.laws import FLOPS_PER_PARAMETER_AND_TOKEN, Law, variables
from vlmkit.core.scaling.wald import Ends, Prediction

How = Literal["wald", "profile", "bootstrap"]


@dataclass(frozen=True)
class Places:
    """Where a law is asked (N,): parameters, tokens, and FLOPs."""

    size: np.ndarray
    tokens: np.ndarray
    flops: np.ndarray

    @classmethod
    def of(cls, size: np.ndarray, tokens: np.ndarray) -> "Places":
        """Places by N and D alone: 6 N D FLOPs."""
        size, tokens = np.asarray(size, np.float64), np.asarray(tokens, np.float64)
        return cls(size, tokens, FLOPS_PER_PARAMETER_AND_TOKEN * size * tokens)

    def variables(self, law: Law) -> np.ndarray:
        """The variables (T, N) of a loss law, or of a direct downstream law, here."""
        unknown = np.full_like(self.size, np.nan)
        return variables(law, size=self.size, tokens=self.tokens, flops=self.flops, loss=unknown)


@dataclass(frozen=True)
class Evidence:
    """A loss law and perhaps a downstream one, the draws of both, how intervals are made, and their level."""

    loss: Fit
    error: Fit | None = None
    draws: tuple[Draws, ...] = field(default=())
    how: How = "wald"
    level: float = 0.95

    def intervals(self, fitted: Fit) -> dict[str, Ends | None]:
        """The interval of every parameter of one of the two fits."""
        if self.how == "bootstrap":
            return bootstrap.intervals(fitted, self.draws_of(fitted), level=self.level)
        return (wald if self.how == "wald" else profile).intervals(fitted, level=self.level)

    def predict(self, places: Places) -> Prediction:
        """The loss of new runs at places, with intervals."""
        return self._predict(self.loss, places.variables(self.loss.law))

    def predict_error(self, places: Places) -> Prediction:
        """The downstream error of new runs at places, with the uncertainty of both laws."""
        assert self.error is not None
        if self.direct:
            return self._predict(self.error, places.variables(self.error.law))
        x = places.variables(self.loss.law)
        if self.how == "bootstrap":
            return bootstrap.chain((self.loss, self.error), (self.draws[0], self.draws[1]), x, level=self.level)
        return wald.chain(self.loss, self.error, x, level=self.level)

    @property
    def direct(self) -> bool:
        """Whether the downstream law goes past the loss."""
        return self.error is not None and self.error.law.over != ("L",)

    def draws_of(self, fitted: Fit) -> Draws:
        """The draws of one of the two fits."""
        return self.draws[0 if fitted is self.loss else 1]

    def _predict(self, fitted: Fit, x: np.ndarray) -> Prediction:
        if self.how == "bootstrap":
            return bootstrap.predict(fitted, self.draws_of(fitted), x, level=self.level)
        return (wald if self.how == "wald" else profile).predict(fitted, x, level=self.level)
