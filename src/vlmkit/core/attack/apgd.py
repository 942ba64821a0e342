"""Auto-PGD (Croce and Hein 2020, algorithm 1): gradient ascent with momentum that halves its step where the loss has
not risen enough, and goes back to the best point.

From outside (Croce and Hein 2021, multi-eps): first within 3 eps, then 2 eps, then eps, each from the best point of the
stage before, which finds its way around where gradients within the ball lead nowhere.

In L1 (Croce and Hein 2021, algorithm 1) steps go without momentum along the signs of the steepest pixels alone; how
many follows from how many the best point has changed.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vlmkit.core.attack.balls import Ball, wide
from vlmkit.core.attack.lanes import Lane, State
from vlmkit.core.attack.losses import Loss

MOMENTUM, RISES = 0.75, 0.75  # alpha and rho
FIRST, LATER, LEAST = 0.22, 0.03, 0.06  # shares of the steps: first interval, by how much later ones are shorter, least
GAP, SPARSER, MOST, LEAST_STEP, SAME = (
    0.04,
    1.5,
    0.2,
    0.1,
    0.95,
)  # in L1: interval by the steps, k, first share, eta_min
WHOLE, OUTSIDE = ((1.0, 1.0),), ((3.0, 0.3), (2.0, 0.3), (1.0, 0.4))  # stages: radius by eps, share of the steps


@dataclass(frozen=True)
class Apgd:
    """The attack in a norm; `warm` begins at the point nearest to fooling the model that is known, else at random, with
    `outside` in a ball of three times the radius."""

    name: str
    ball: Ball
    loss: Loss
    num_steps: int = 100
    warm: bool = False
    outside: bool = False

    @property
    def sparse(self) -> bool:
        """Whether it goes the way of L1."""
        return self.ball.name == "l1"

    @cached_property
    def stages(self) -> tuple[Tensor, Tensor, Tensor]:
        """For each number of steps done (num_steps + 2,): the radius by eps, whether a stage begins there, and the
        length of the interval that ends there, or 0."""
        radius, begins, checks = ([zero] * (self.num_steps + 2) for zero in (0.0, 0, 0))
        at = 0
        for times, share in OUTSIDE if self.outside else WHOLE:
            length = self.num_steps - at if times == 1 else round(share * self.num_steps)
            begins[at], checks[at], radius[at:] = 1, 0, [times] * (self.num_steps + 2 - at)
            checks[at + 1 : at + 1 + length] = gaps(length) if self.sparse else intervals(length)
            at += length
        return torch.tensor(radius), torch.tensor(begins, dtype=torch.bool), torch.tensor(checks)

    def start(self, lane: Lane) -> State:
        """At a random point of the first ball, or what is known."""
        zero = torch.zeros_like(lane.eps)
        first = lane.eps * float(self.stages[0][0])
        x = (
            self.ball.project(lane.nearest, lane.x0, first) if self.warm
            else self.ball.noise(lane.x0, first, lane.keys, torch.zeros_like(lane.keys))
        )  # fmt: skip
        return {
            "x0": lane.x0, "x": x, "before": x.clone(), "best": x.clone(), "best_gradient": torch.zeros_like(x),
            "best_loss": zero - torch.inf, "last_loss": zero - torch.inf, "check_loss": zero - torch.inf,
            "step": zero, "rises": zero.clone(), "halved": torch.ones_like(zero, dtype=torch.bool),
            "done": torch.zeros_like(lane.y),
        } | ({"share": zero + MOST, "changed": zero.clone()} if self.sparse else {})  # fmt: skip

    def ask(self, state: State) -> Tensor:
        """The point where it stands."""
        return state["x"]

    def tell(self, state: State, logits: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        """Step on."""
        del logits
        done, infinite = state["done"], torch.full_like(values, torch.inf)
        radius, begins, _ = (one.to(done.device) for one in self.stages)
        first, eps = begins[done], state["eps"] * radius[done]
        state["best_loss"] = torch.where(first, -infinite, state["best_loss"])
        better = values > state["best_loss"]
        state["best"][better], state["best_gradient"][better] = state["x"][better], gradient[better]
        state["best_loss"] = torch.maximum(state["best_loss"], values)
        state["check_loss"] = torch.where(first, values, state["check_loss"])
        state["rises"] = torch.where(first, torch.zeros_like(values), state["rises"] + (values > state["last_loss"]))
        state["step"] = torch.where(first, eps if self.sparse else 2 * eps, state["step"])
        state["halved"] |= first
        state["last_loss"] = values
        if self.sparse:
            state["share"] = torch.where(first, MOST, state["share"])
            state["changed"] = torch.where(first, MOST * gradient[0].numel(), state["changed"])
            x, gradient = self.refocus(state, gradient, eps)
            uphill = steepest(gradient, state["share"])
        else:
            x, gradient = self.halve(state, gradient)
            uphill = self.ball.ascent(gradient)
        moved = self.ball.project(x + wide(state["step"]) * uphill, state["x0"], eps)
        share = torch.where(first, 1.0, 1.0 if self.sparse else MOMENTUM).to(x.dtype)
        ahead = x + wide(share) * (moved - x) + wide(1 - share) * (x - state["before"])
        ahead = torch.where(wide(begins[done + 1]), state["best"], ahead)
        state["before"], state["x"] = x, self.ball.project(ahead, state["x0"], state["eps"] * radius[done + 1])
        state["done"] = done + 1
        return state["done"] > self.num_steps

    def halve(self, state: State, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """At the end of an interval without enough progress halve the step and go back to the best point."""
        interval = self.stages[2].to(state["done"].device)[state["done"]]
        at_check = interval > 0
        few = state["rises"] <= RISES * interval
        stuck = ~state["halved"] & (state["check_loss"] >= state["best_loss"])
        halves = at_check & (few | stuck)
        state["step"] = torch.where(halves, state["step"] / 2, state["step"])
        state["halved"] = torch.where(at_check, halves, state["halved"])
        state["check_loss"] = torch.where(at_check, state["best_loss"], state["check_loss"])
        state["rises"] = torch.where(at_check, torch.zeros_like(state["rises"]), state["rises"])
        back = wide(halves)
        return torch.where(back, state["best"], state["x"]), torch.where(back, state["best_gradient"], gradient)

    def refocus(self, state: State, gradient: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """In L1, at the end of an interval: step among two thirds as many pixels as the best point has changed; from
        there with the largest step if it has become sparser, else on with a smaller one."""
        at_check = self.stages[2].to(state["done"].device)[state["done"]] > 0
        changed = (state["best"] != state["x0"]).flatten(1).sum(1).to(eps.dtype)
        sparser = at_check & (changed < SAME * state["changed"])
        smaller = torch.maximum(state["step"] / SPARSER, LEAST_STEP * eps)
        state["step"] = torch.where(at_check, torch.where(sparser, eps, smaller), state["step"])
        state["share"] = torch.where(at_check, changed / SPARSER / gradient[0].numel(), state["share"])
        state["changed"] = torch.where(at_check, changed, state["changed"])
        back = wide(sparser)
        return torch.where(back, state["best"], state["x"]), torch.where(back, state["best_gradient"], gradient)


def steepest(gradient: Tensor, share: Tensor) -> Tensor:
    """The signs of the steepest pixels of gradients (B, C, Y, X), a share of all (B,), of sum 1 together."""
    flat = gradient.flatten(1)
    count = (share * flat.shape[1]).round().clamp(1, flat.shape[1]).to(torch.int64)
    least = flat.abs().sort(dim=1, descending=True).values.gather(1, count[:, None] - 1)
    signs = torch.where(flat.abs() >= least, flat.sign(), torch.zeros_like(flat))
    return (signs / signs.abs().sum(1, keepdim=True).clamp_min(1)).reshape(gradient.shape)


def gaps(num_steps: int) -> list[int]:
    """For each of so many steps, from the first on, the length of the interval that ends with it, all alike, or 0."""
    gap = max(int(GAP * num_steps), 1)
    return [0 if step % gap else gap for step in range(1, num_steps + 1)]


def intervals(num_steps: int) -> list[int]:
    """For each of so many steps, from the first on, the length of the interval that ends with it, or 0."""
    interval, found, since = max(int(FIRST * num_steps), 1), [0] * num_steps, 0
    for step in range(num_steps):
        since += 1
        if since == interval:
            found[step], since = interval, 0
            shorter = interval - max(int(LATER * num_steps), 1)
            interval = max(shorter, max(int(LEAST * num_steps), 1))
    return found
