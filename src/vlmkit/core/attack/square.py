"""Square Attack (Andriushchenko et al. 2020): random search over squares of changed pixels, by logits alone.

It needs no gradient, so it shows where gradients mislead. In Linf it is the published one; in L2 and L1 a square takes
the size that the change has to spare, which is simpler than the windows that are published for L2.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vlmkit.core.attack.balls import Ball, boxed, wide
from vlmkit.core.attack.lanes import Lane, State
from vlmkit.core.attack.losses import margin
from vlmkit.core.attack.randomness import signs, uniform

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries: where the squares' area is halved


@dataclass(frozen=True)
class Square:
    """The attack, with `num_queries` points, and squares as large as the published ones from query `first` to query
    `last` of 10,000. `warm` begins at the point nearest to fooling the model that is known."""

    name: str
    ball: Ball
    num_queries: int = 5000
    first_share: float = 0.8
    warm: bool = False
    first: int = 0
    last: int = 10_000
    loss: None = None

    @cached_property
    def shares(self) -> Tensor:
        """The share of pixels that the square of each query changes (num_queries + 1,)."""
        found = []
        for query in range(self.num_queries + 1):
            at = self.first + query * (self.last - self.first) // self.num_queries
            found.append(self.first_share * 0.5 ** sum(at > one for one in HALVINGS))
        return torch.tensor(found, dtype=torch.float64)

    def start(self, lane: Lane) -> State:
        """Stripes of the whole height, or what is known."""
        zero = torch.zeros_like(lane.eps)
        if self.warm:
            x = self.ball.project(lane.nearest, lane.x0, lane.eps)
        else:
            shape = lane.x0.shape[1:]
            stripes = signs(lane.keys, torch.zeros_like(lane.keys), (shape[0], 1, shape[2])).expand(
                -1, -1, shape[1], -1
            )
            unit = stripes if self.ball.name == "linf" else stripes / wide(self.ball.size(stripes))
            x = self.ball.project(lane.x0 + wide(lane.eps) * unit, lane.x0, lane.eps)
        return {
            "x0": lane.x0, "best": x, "x": x.clone(), "margin": zero - torch.inf, "keys": lane.keys,
            "done": torch.zeros_like(lane.y),
        }  # fmt: skip

    def ask(self, state: State) -> Tensor:
        """The next candidate."""
        return state["x"]

    def tell(self, state: State, logits: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        """Keep the candidate if it is better, and draw the next."""
        del values, gradient
        margins = margin(logits, state["y"], state["t"])
        better = margins > state["margin"]
        state["best"] = torch.where(wide(better), state["x"], state["best"])
        state["margin"] = torch.where(better, margins, state["margin"])
        state["done"] = state["done"] + 1
        state["x"] = self.candidate(state)
        return state["done"] >= self.num_queries

    def candidate(self, state: State) -> Tensor:
        """The best point with a square of random place and signs, at the edge of the ball."""
        channels, height, width = state["best"].shape[1:]
        shares = self.shares.to(state["done"].device)[state["done"].clamp_max(self.num_queries)]
        side = (shares * height * width).sqrt().round().clamp(1, min(height, width)).to(torch.int64)
        drawn = uniform(state["keys"], state["done"], (2 + channels,))
        top = (drawn[:, 0] * (height - side + 1)).to(torch.int64)
        left = (drawn[:, 1] * (width - side + 1)).to(torch.int64)
        rows, columns = torch.arange(height, device=side.device), torch.arange(width, device=side.device)
        down = (rows >= top[:, None]) & (rows < (top + side)[:, None])
        across = (columns >= left[:, None]) & (columns < (left + side)[:, None])
        inside = (down[:, :, None] & across[:, None, :])[:, None]
        sign = torch.where(drawn[:, 2:] < 0.5, -1.0, 1.0)[:, :, None, None]
        if self.ball.name == "linf":
            edge = state["x0"] + wide(state["eps"]) * sign
            return self.ball.project(torch.where(inside, edge, state["best"]), state["x0"], state["eps"])
        return self.spread(state, inside, sign, side)

    def spread(self, state: State, inside: Tensor, sign: Tensor, side: Tensor) -> Tensor:
        """In L2 and L1 the square is given the size that the change lacks, and what it took before from elsewhere."""
        d = state["best"] - state["x0"]
        power = 2 if self.ball.name == "l2" else 1
        count = side.to(d.dtype) ** 2 * d.shape[1]
        within = (d.abs() ** power * inside).flatten(1).sum(1)
        whole = state["eps"] ** power
        spare = (whole - (d.abs() ** power).flatten(1).sum(1)).clamp_min(0)
        room = torch.maximum(within + spare, whole / math.prod(d.shape[2:]) * side**2)
        amount = (room / count) ** (1 / power)
        moved = state["x0"] + torch.where(inside, sign * wide(amount), d)
        return self.ball.project(boxed(moved), state["x0"], state["eps"])
