"""Fast minimum-norm attack (Pintor et al. 2021): gradient steps within a radius that shrinks while the model is fooled
and grows while it is not."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vlmkit.core.attack.balls import BALLS, Ball, boxed, wide
from vlmkit.core.attack.lanes import Lane, State
from vlmkit.core.attack.losses import Loss, margin

DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}
FIRST_SHRINK, LAST_SHRINK = 0.05, 0.001  # gamma
LAST_STEP = 0.1  # of the first
TINY = 1e-12


@dataclass(frozen=True)
class Fmn:
    """The attack, from the image; steps shorten along a cosine, in L2 length."""

    name: str
    ball: Ball
    num_steps: int = 100
    first_step: float = 1.0
    loss: Loss = margin

    def start(self, lane: Lane) -> State:
        """At the image, with an open radius."""
        zero = torch.zeros_like(lane.eps)
        return {
            "x0": lane.x0, "x": lane.x0.clone(), "radius": zero + torch.inf, "least": zero + torch.inf,
            "done": torch.zeros_like(lane.y),
        }  # fmt: skip

    def ask(self, state: State) -> Tensor:
        """The point where it stands."""
        return state["x"]

    def tell(self, state: State, logits: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        """Set the radius by whether the model is fooled, and step within it."""
        done = state["done"].to(values.dtype) / self.num_steps
        fall = (1 + (math.pi * done).cos()) / 2
        shrink = LAST_SHRINK + (FIRST_SHRINK - LAST_SHRINK) * fall
        step = self.first_step * (LAST_STEP + (1 - LAST_STEP) * fall)
        d = state["x"] - state["x0"]
        size, fools = self.ball.size(d), logits.argmax(1) != state["y"]
        state["least"] = torch.where(fools, torch.minimum(state["least"], size), state["least"])
        slope = BALLS[DUAL[self.ball.name]].size(gradient).clamp_min(TINY)
        known = state["least"].isfinite()
        outward = torch.where(known, state["radius"], size + values.abs() / slope) * (1 + shrink)
        inward = torch.minimum(state["radius"] * (1 - shrink), state["least"] * (1 - shrink))
        state["radius"] = torch.where(fools, inward, outward)
        unit = gradient / wide(BALLS["l2"].size(gradient).clamp_min(TINY))
        moved = boxed(state["x"] + wide(step) * unit)
        state["x"] = self.ball.project(moved, state["x0"], state["radius"])
        state["done"] = state["done"] + 1
        return state["done"] >= self.num_steps
