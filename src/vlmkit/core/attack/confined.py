"""Gradient ascent within one band of frequencies: how far a model can be fooled by low, or by high, frequencies alone.

The change d that an attack holds lies in its band exactly. It is brought into the ball by turns of the ball's
projection and the band's, and what is still too long is shortened. The point that is asked about is clipped to the box,
which may add a little of other bands, as in the paper's own masks (bands.py).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vlmkit.core.attack.balls import Ball, boxed, wide
from vlmkit.core.attack.bands import Band, cutoff_of, part
from vlmkit.core.attack.lanes import Lane, State
from vlmkit.core.attack.losses import Loss

TINY = 1e-12
TURNS = 3


@dataclass(frozen=True)
class Confined:
    """PGD (Madry et al. 2018) of `num_steps` steps of `rel_step` times the radius in a band, from a random point of it;
    the cut-off is that of `bands.cutoff_of` unless it is given."""

    name: str
    ball: Ball
    loss: Loss
    band: Band
    num_steps: int = 40
    rel_step: float = 0.1
    cutoff: int | None = None

    def start(self, lane: Lane) -> State:
        """A random change, as much of it as lies in the band."""
        noise = self.ball.noise(lane.x0, lane.eps, lane.keys, torch.zeros_like(lane.keys)) - lane.x0
        change = self.confine(noise, lane.x0, lane.eps)
        return {"x0": lane.x0, "change": change, "done": torch.zeros_like(lane.y)}

    def ask(self, state: State) -> Tensor:
        """The image with the change."""
        return boxed(state["x0"] + state["change"])

    def tell(self, state: State, logits: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        """Step on."""
        del logits, values
        step = wide(self.rel_step * state["eps"]) * self.ball.ascent(self.within(gradient))
        state["change"] = self.confine(state["change"] + step, state["x0"], state["eps"])
        state["done"] = state["done"] + 1
        return state["done"] > self.num_steps

    def within(self, d: Tensor) -> Tensor:
        """What the band holds."""
        return part(d, self.band, self.cutoff or cutoff_of(d.shape[2], d.shape[3]))

    def confine(self, d: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
        """A change in the band and in the ball, near d."""
        d = self.within(d)
        for _ in range(TURNS):
            d = self.within(self.ball.project(x0 + d, x0, eps) - x0)
        return d * wide((eps / self.ball.size(d).clamp_min(TINY)).clamp_max(1))
