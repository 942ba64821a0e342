"""Robust accuracy over several radii in one run.

The largest radius comes first: an image that withstands it withstands all smaller ones, so only fooled images go on,
and first by the change that fooled them, shortened. The smallest change found of each image says at which radii it is
fooled, so the curve cannot rise with the radius.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vlmkit.core.attack.balls import Ball
from vlmkit.core.attack.bisect import Bisect
from vlmkit.core.attack.board import ROUNDING, Board
from vlmkit.core.attack.lanes import Lane, State, Work, run
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.randomness import keys_of
from vlmkit.core.attack.suites import Round


@dataclass(frozen=True)
class Shorter:
    """The smallest change that is known, brought into the ball: one question."""

    ball: Ball
    name: str = "shorter"
    loss: None = None

    def start(self, lane: Lane) -> State:
        """The point."""
        return {"x": self.ball.project(lane.fooling, lane.x0, lane.eps)}

    def ask(self, state: State) -> Tensor:
        """The point."""
        return state["x"]

    def tell(self, state: State, logits: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        """That was all."""
        del logits, values, gradient
        return torch.ones_like(state["y"], dtype=torch.bool)


@dataclass(frozen=True)
class Subject:
    """What is attacked: a model, images with labels on a board, their ids, and which the model has right (N,)."""

    oracle: Oracle
    board: Board
    ball: Ball
    ids: Sequence[str]
    right: Tensor
    order: Tensor  # (N, V - 1): the wrong classes of each, the likeliest first

    @classmethod
    def of(cls, oracle: Oracle, x: Tensor, y: Tensor, ids: Sequence[str], ball: Ball, *, lanes: int) -> "Subject":
        """Ask the model about the images as they are."""
        logits = torch.cat([oracle.logits(some) for some in x.split(lanes)])
        order = logits.scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True, stable=True)[:, :-1]
        return cls(oracle, Board.of(x, y), ball, ids, logits.argmax(1) == y, order)

    def robust(self, eps: float) -> Tensor:
        """Which images the model has right at a radius, as far as is known (N,)."""
        return self.right & (self.board.size > eps + ROUNDING)


def measure(
    subject: Subject, rounds: Sequence[Round], radii: Sequence[float], *, lanes: int, seed: int,
    told: Callable[[str, float, float], None] | None = None,
) -> None:  # fmt: skip
    """Attack at each radius, the largest first, and find how far fooled images can be brought back; the results are on
    the board, where `by` is the place of an attack in `plan_of(rounds)`. `told` hears the round, the radius and the
    robust accuracy after it."""
    first, *middle, last = plan_of(subject.ball, rounds)
    withstood = torch.zeros_like(subject.right)
    for number, eps in enumerate(sorted(radii, reverse=True)):
        subject.board.narrow()
        for by, one in enumerate([first, *middle] if number else middle, start=0 if number else 1):
            attacked(subject, one, subject.robust(eps) & ~withstood, eps, lanes=lanes, seed=seed, by=by)
            if told:
                told(one.name, eps, float(subject.robust(eps).float().mean()))
        withstood |= subject.robust(eps)
    fooled, by = subject.right & subject.board.size.isfinite(), len(rounds) + 1
    attacked(subject, last, fooled, max(radii), lanes=lanes, seed=seed, by=by, minimise=True)


def plan_of(ball: Ball, rounds: Sequence[Round]) -> list[Round]:
    """The rounds with those before and after them."""
    return [Round(Shorter(ball)), *rounds, Round(Bisect())]


def attacked(
    subject: Subject, one: Round, chosen: Tensor, eps: float, *, lanes: int, seed: int, by: int, minimise: bool = False
) -> None:
    """A round over some images (N,)."""
    rows = chosen.nonzero()[:, 0]
    keys = keys_of([subject.ids[row] for row in rows.tolist()], seed=seed, what=f"{one.name} {eps!r}")
    work = Work(rows, subject.order[rows, min(one.rank, subject.order.shape[1] - 1)], keys.to(rows.device))
    run(one.attack, subject.oracle, subject.board, subject.ball, work, eps=eps, lanes=lanes, by=by, minimise=minimise)
