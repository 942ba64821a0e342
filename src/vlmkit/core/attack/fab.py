"""FAB, targeted (Croce and Hein 2020b): steps onto the linearised boundary between two classes, drawn towards the
image, and back from the boundary when it is crossed. It looks for the smallest change, whatever the radius.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vlmkit.core.attack.balls import Ball, boxed, wide
from vlmkit.core.attack.lanes import Lane, State
from vlmkit.core.attack.losses import Loss, margin_to
from vlmkit.core.attack.planes import to_plane

MOST_PULL, OVER, BACK = 0.1, 1.05, 0.9  # alpha_max, eta, beta
TINY = 1e-8


@dataclass(frozen=True)
class Fab:
    """The attack, from the image; `warm` begins at the smallest change that is known to fool the model. With `straight`
    every second step goes to the boundary from the image itself, which is the least change where the model is linear.
    """

    name: str
    ball: Ball
    num_steps: int = 100
    warm: bool = False
    straight: bool = False
    loss: Loss = margin_to

    def start(self, lane: Lane) -> State:
        """At the image."""
        x = lane.fooling.clone() if self.warm else lane.x0.clone()
        return {"x0": lane.x0, "x": x, "done": torch.zeros_like(lane.y)}

    def ask(self, state: State) -> Tensor:
        """The point where it stands."""
        return state["x"]

    def tell(self, state: State, logits: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        """Back from beyond the boundary, or onto it."""
        y = state["y"]
        fools = logits.argmax(1) != y
        onto = self.onto(state, values, gradient)
        back = state["x0"] + BACK * (state["x"] - state["x0"])
        state["x"] = torch.where(wide(fools), back, onto)
        state["done"] = state["done"] + 1
        return state["done"] >= self.num_steps

    def onto(self, state: State, values: Tensor, gradient: Tensor) -> Tensor:
        """Beyond the boundary of the linearised model, between what is nearest to here and nearest to the image."""
        x, x0 = state["x"].flatten(1), state["x0"].flatten(1)
        w = gradient.flatten(1)
        lacks = -values
        here = self.signed(x, w, lacks)
        there = self.signed(x0, w, lacks - (w * (x0 - x)).sum(1))
        a, b = (self.ball.size(d.reshape(state["x"].shape)).clamp_min(TINY) for d in (here, there))
        pull = (a / (a + b)).clamp(0, MOST_PULL)[:, None]
        if self.straight:
            pull = torch.where(state["done"][:, None] % 2 == 1, 1.0, pull)
        moved = (x + OVER * here) * (1 - pull) + (x0 + OVER * there) * pull
        return boxed(moved).reshape(state["x"].shape)

    def signed(self, x: Tensor, w: Tensor, lacks: Tensor) -> Tensor:
        """The smallest change after which the target has gained what it lacks, which may be less than nothing."""
        sign = torch.where(lacks >= 0, 1.0, -1.0)
        return to_plane(x, w * sign[:, None], lacks.abs(), norm=self.ball.name)
