"""Bisection between an image and a point that fools the model: the smallest change on that line."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vlmkit.core.attack.balls import wide
from vlmkit.core.attack.lanes import Lane, State


@dataclass(frozen=True)
class Bisect:
    """`num_steps` halvings of the line from the image to the smallest change that is known."""

    name: str = "bisect"
    num_steps: int = 14
    loss: None = None

    def start(self, lane: Lane) -> State:
        """The whole line."""
        zero = torch.zeros_like(lane.eps)
        return {
            "x0": lane.x0, "change": lane.fooling - lane.x0, "low": zero, "high": zero + 1,
            "done": torch.zeros_like(lane.y),
        }  # fmt: skip

    def ask(self, state: State) -> Tensor:
        """The middle."""
        return state["x0"] + wide((state["low"] + state["high"]) / 2) * state["change"]

    def tell(self, state: State, logits: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        """The half in which the model changes its mind."""
        del values, gradient
        middle, fools = (state["low"] + state["high"]) / 2, logits.argmax(1) != state["y"]
        state["low"] = torch.where(fools, state["low"], middle)
        state["high"] = torch.where(fools, middle, state["high"])
        state["done"] = state["done"] + 1
        return state["done"] >= self.num_steps
