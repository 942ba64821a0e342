"""Robust accuracy over several radii in one run.

The largest radius comes first: an image that withstands it withstands all smaller ones, so only fooled images go on,
and first by the change that fooled them, shortened: by steps of FAB from there, and along the line to the image. The
smallest change found of each image says at which radii it is fooled, so the curve cannot rise with the radius. Attacks
that are to be judged as they are published (`fresh`) are run on all images at each radius instead, nothing is
shortened, and each radius is judged by itself, so such a curve may rise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from vlmkit.core.attack.apgd import Apgd
from vlmkit.core.attack.balls import Ball
from vlmkit.core.attack.bisect import Bisect
from vlmkit.core.attack.board import ROUNDING, Board
from vlmkit.core.attack.fab import Fab
from vlmkit.core.attack.lanes import Lane, State, Work, run
from vlmkit.core.attack.losses import margin
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.order import nearest_first
from vlmkit.core.attack.randomness import keys_of
from vlmkit.core.attack.suites import Round

Among = Literal["standing", "all", "few", "fooled"]
FEW = 32  # images on which more steps are tried
MORE_STEPS = 100
NEARER = 12  # steps
SHORTENING = ("shorter", "nearer", "bisect")  # what they bring nearer was found by another
COUNTS = ("forwards", "backwards")
ODD = (1, 7)  # rows
NOISE_ROWS, NOISE_TIMES, LEAST_NOISE, MOST_NOISE = 16, 4.0, 1e-7, 1e-3  # of the largest logit


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
    """What is attacked: a model, images with labels on a board, their ids, and which the model has right (N,), with the
    class that it gives (N,)."""

    oracle: Oracle
    board: Board
    ball: Ball
    ids: Sequence[str]
    right: Tensor
    given: Tensor
    order: Tensor  # (N, V - 1): the wrong classes of each, the likeliest first
    near: Tensor  # (N, V - 1): the nearest first, where that was asked

    @classmethod
    def of(
        cls, oracle: Oracle, x: Tensor, y: Tensor, ids: Sequence[str], ball: Ball, *, lanes: int,
        goal: Tensor | None = None, malt: bool = False,
    ) -> "Subject":  # fmt: skip
        """Ask the model about the images as they are. With goals (N,) an image is fooled by its goal alone; with `malt`
        it is asked which classes are near."""
        logits = torch.cat([oracle.logits(some) for some in x.split(lanes)])
        order = logits.scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True, stable=True)[:, :-1]
        if goal is not None:
            order = torch.ones_like(y)[:, None]
        near = nearest_first(oracle, x, y, order, ball, lanes=lanes) if malt and goal is None else order
        board = Board.of(x, y, goal=goal, slack=noise_of(oracle, x[:NOISE_ROWS], logits[:NOISE_ROWS]))
        return cls(oracle, board, ball, ids, logits.argmax(1) == y, logits.argmax(1), order, near)

    def aims(self, one: Round, rows: Tensor) -> Tensor:
        """The classes that a round aims at in images `rows` (B,)."""
        order = self.near if one.malt else self.order
        return order[rows, min(one.rank, order.shape[1] - 1)]

    def robust(self, eps: float) -> Tensor:
        """Which images the model has right at a radius, as far as is known (N,)."""
        return self.right & (self.board.size > eps + ROUNDING)


def noise_of(oracle: Oracle, x: Tensor, logits: Tensor) -> float:
    """By how much a logit may differ when others ask about the same image alone or in batches of an odd size."""
    others = [torch.cat([oracle.logits(some, fill=False) for some in x.split(rows)]) for rows in ODD]
    largest = float(logits.abs().max())
    found = NOISE_TIMES * max(float((other - logits).abs().max()) for other in others)
    return min(max(found, LEAST_NOISE * largest), MOST_NOISE * largest)


@dataclass(frozen=True)
class Step:
    """A round at a radius (None: the one that tells most), and which images take part. What a step finds `aside` is
    counted, but forgotten."""

    one: Round
    eps: float | None
    among: Among
    minimise: bool = False
    aside: bool = False


@dataclass
class Done:
    """What came of a step: how many images it was tried on and fooled, and the passes it took."""

    attack: str
    eps: float
    tried: int
    fooled: int
    forwards: int
    backwards: int


@dataclass
class Place:
    """How far a measurement is: the steps that are done, the work of the one begun, and when that began.

    Attributes:
        before: what a step aside is to leave as it is.
        held: of published attacks, which images are right at each radius after those of that radius alone (N,).
    """

    done: list[Done] = field(default_factory=list)
    work: Work | None = None
    eps: float = 0.0
    passes: tuple[int, int] = (0, 0)
    before: dict[str, Tensor] | None = None
    held: dict[float, Tensor] = field(default_factory=dict)


class Trail(Protocol):
    """Keeps a place, so that a killed run goes on from there."""

    def load(self, subject: Subject) -> Place: ...
    def save(self, subject: Subject, place: Place) -> None: ...


def steps_of(ball: Ball, rounds: Sequence[Round], radii: Sequence[float], *, fresh: bool = False) -> list[Step]:
    """The steps of a measurement; their numbers are those of `Board.by`."""
    more = Round(Apgd("more-steps", ball, margin, MORE_STEPS))
    if fresh:
        found = [Step(one, eps, "all") for eps in sorted(radii, reverse=True) for one in rounds]
        return [*found, Step(more, None, "few", aside=True)]
    largest, *smaller = sorted(radii, reverse=True)
    nearer = Step(Round(Fab("nearer", ball, NEARER, warm=True, straight=True)), largest, "fooled", minimise=True)
    found = [Step(one, largest, "standing") for one in rounds]
    found += [nearer] if smaller else []
    for eps in smaller:
        found += [Step(one, eps, "standing") for one in (Round(Shorter(ball)), *rounds)]
    return [*found, Step(more, None, "few"), nearer, Step(Round(Bisect()), largest, "fooled", minimise=True)]


def measure(
    subject: Subject, rounds: Sequence[Round], radii: Sequence[float], *, lanes: int, seed: int, fresh: bool = False,
    few: int = FEW, trail: Trail | None = None, told: Callable[[str, float, float, float], None] | None = None,
) -> Place:  # fmt: skip
    """Attack at each radius, the largest first, and find how far fooled images can be brought back.

    The results are on the board, where `by` is the number of a step of `steps_of`. Of those that withstand, more steps
    are tried on a `few`. `told` hears now and then, and after each step, the name of its round, the radius, the robust
    accuracy, and how many steps are done, a step that is under way in part.
    """
    place = trail.load(subject) if trail else Place()
    steps = steps_of(subject.ball, rounds, radii, fresh=fresh)
    for number in range(len(place.done), len(steps)):
        step = steps[number]
        if place.work is None:
            first = number == 0 or step.eps != steps[number - 1].eps
            begin(subject, place, step, radii, first=first, few=few, seed=seed)
        assert place.work is not None

        def pause(number: int = number, name: str = step.one.name) -> None:
            if trail:
                trail.save(subject, place)
            if told:
                told(name, place.eps, accuracy(subject, place.eps), number + share_of(place.work))

        by = -1 if step.one.name in SHORTENING else number
        run(
            step.one.attack, subject.oracle, subject.board, subject.ball, place.work, eps=place.eps, lanes=lanes, by=by,
            minimise=step.minimise, pause=pause,
        )  # fmt: skip
        spent = [now - then for now, then in zip(passes(subject.oracle), place.passes, strict=True)]
        if place.before is not None:
            subject.board.load(place.before)
        assert place.work.hit is not None
        place.done.append(Done(step.one.name, place.eps, len(place.work.rows), int(place.work.hit.sum()), *spent))
        if step.among == "all":
            place.held[place.eps] = place.held.get(place.eps, subject.right) & ~place.work.hit
        place.work, place.before = None, None
        if told:
            told(step.one.name, place.eps, accuracy(subject, place.eps), number + 1)
    if trail:
        trail.save(subject, place)
    return place


def begin(
    subject: Subject, place: Place, step: Step, radii: Sequence[float], *, first: bool, few: int, seed: int
) -> None:
    """Choose the images of a step."""
    place.eps = telling(subject, radii) if step.eps is None else step.eps
    larger = [eps for eps in radii if eps > place.eps]
    standing = subject.robust(place.eps)
    withstood = subject.robust(min(larger)) if larger else torch.zeros_like(standing)
    chosen = {
        "all": place.held.get(place.eps, subject.right),
        "standing": standing & ~withstood,
        "few": standing & (standing.cumsum(0) <= few),
        "fooled": subject.right & subject.board.size.isfinite(),
    }[step.among]
    if first and not step.minimise:
        subject.board.narrow()
    place.passes = passes(subject.oracle)
    if step.aside:
        place.before = {name: one.clone() for name, one in subject.board.state().items() if name not in COUNTS}
    place.work = work_on(subject, step.one, chosen, place.eps, seed=seed)


def accuracy(subject: Subject, eps: float) -> float:
    """The robust accuracy at a radius, as far as is known."""
    return float(subject.robust(eps).float().mean())


def share_of(work: Work | None) -> float:
    """How much of a round is done: the share of its images that have left their lanes."""
    if work is None or not len(work.rows):
        return 0.0
    return (work.place - (0 if work.active is None else len(work.active))) / len(work.rows)


def telling(subject: Subject, radii: Sequence[float]) -> float:
    """The radius at which robust and fooled images are most alike in number."""
    half = float(subject.right.sum()) / 2
    return min(sorted(radii), key=lambda eps: abs(float(subject.robust(eps).sum()) - half))


def passes(oracle: Oracle) -> tuple[int, int]:
    """Forward and backward passes until now."""
    return oracle.forwards, oracle.backwards


def work_on(subject: Subject, one: Round, chosen: Tensor, eps: float, *, seed: int) -> Work:
    """A round over some images (N,)."""
    rows = chosen.nonzero()[:, 0]
    keys = keys_of([subject.ids[row] for row in rows.tolist()], seed=seed, what=f"{one.name} {eps!r}")
    aims = subject.aims(one, rows)
    if one.name in SHORTENING and subject.board.goal is None:
        aims = subject.board.given[rows]
    return Work(rows, aims, keys.to(rows.device))
