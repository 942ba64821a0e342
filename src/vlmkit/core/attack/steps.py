"""Gradient ascent by steps of a fixed size: FGSM (Goodfellow et al. 2015), PGD (Madry et al. 2018), MI-FGSM (Dong et
al. 2018)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vlmkit.core.attack.balls import Ball, l1_size, wide
from vlmkit.core.attack.lanes import Lane, State
from vlmkit.core.attack.losses import Loss

TINY = 1e-12


@dataclass(frozen=True)
class Steps:
    """`num_steps` steps of `rel_step` times the radius, from a random point or the image itself, with a momentum that
    gathers gradients of size 1. With `last` only the point after the last step counts, as in most libraries."""

    name: str
    ball: Ball
    loss: Loss
    num_steps: int
    rel_step: float
    random_start: bool = True
    momentum: float | None = None
    last: bool = False

    def start(self, lane: Lane) -> State:
        """Where it begins."""
        noise = self.ball.noise(lane.x0, lane.eps, lane.keys, torch.zeros_like(lane.keys))
        x = noise if self.random_start else lane.x0.clone()
        done = torch.zeros_like(lane.y)
        found = {"x0": lane.x0, "x": x, "gathered": torch.zeros_like(x), "done": done}
        return found | ({"counts": done == self.num_steps} if self.last else {})

    def ask(self, state: State) -> Tensor:
        """The point where it stands."""
        return state["x"]

    def tell(self, state: State, logits: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        """Step on."""
        del logits, values
        if self.momentum is not None:
            unit = gradient / wide(l1_size(gradient) / gradient[0].numel()).clamp_min(TINY)
            gradient = state["gathered"] = self.momentum * state["gathered"] + unit
        step = wide(self.rel_step * state["eps"]) * self.ball.ascent(gradient)
        state["x"] = self.ball.project(state["x"] + step, state["x0"], state["eps"])
        state["done"] = state["done"] + 1
        if self.last:
            state["counts"] = state["done"] == self.num_steps
        return state["done"] > self.num_steps
