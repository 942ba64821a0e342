"""Attacks run on lanes: each lane is one image at its own place in its own attack.

An attack says what point it asks about next, and is told what the model says of it. An image that is fooled, or whose
attack is through, leaves its lane at once, and the next one of the queue takes it, so the batch stays full. Nothing in
a lane depends on the others.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from vlmkit.core.attack.balls import Ball
from vlmkit.core.attack.board import Board
from vlmkit.core.attack.losses import Loss
from vlmkit.core.attack.oracle import Oracle

EVERY_S = 30.0  # between two times that work is written
State = dict[str, Tensor]  # each (B, ...); with `counts` (B,), only points for which it says so are found


@dataclass(frozen=True)
class Lane:
    """What lanes begin with: images x0, the points nearest to fooling the model that are known, and those that fool it
    by the smallest change (B, C, Y, X; the image where there is none), labels and targets (B,), radii (B,) and keys of
    random numbers (B,)."""

    x0: Tensor
    nearest: Tensor
    fooling: Tensor
    y: Tensor
    t: Tensor
    eps: Tensor
    keys: Tensor


class Attack(Protocol):
    """An attack, on lanes.

    loss: what it wants the gradient of; None asks for logits alone.
    start: the state of new lanes; `ask` the next points; `tell` takes logits, losses and gradients of them (the latter
    two are zero without a loss), changes the state in place and says which lanes are through (B,).
    """

    @property
    def name(self) -> str: ...
    @property
    def loss(self) -> Loss | None: ...
    def start(self, lane: Lane) -> State: ...
    def ask(self, state: State) -> Tensor: ...
    def tell(self, state: State, logits: Tensor, values: Tensor, gradient: Tensor) -> Tensor: ...


@dataclass
class Work:
    """An attack on some images of a board: rows (M,) with their targets (M,) and keys (M,), how far it is, and which of
    all images it fooled (N,)."""

    rows: Tensor
    targets: Tensor
    keys: Tensor
    hit: Tensor | None = None
    place: int = 0
    active: Tensor | None = None
    state: State | None = None


def run(
    attack: Attack, oracle: Oracle, board: Board, ball: Ball, work: Work, *, eps: float, lanes: int, by: int,
    minimise: bool = False, pause: Callable[[], None] | None = None, every_s: float | None = None,
) -> None:  # fmt: skip
    """Run an attack to its end, on so many lanes.

    With `minimise` fooled images go on, to smaller changes. `pause` is called every so often, when `work` and the board
    can be written and gone on from.
    """
    work.hit = torch.zeros_like(board.y, dtype=torch.bool) if work.hit is None else work.hit
    since, every_s = time.monotonic(), EVERY_S if every_s is None else every_s
    while True:
        refill(attack, board, work, eps=eps, lanes=lanes)
        if work.active is None or not len(work.active):
            return
        assert work.state is not None
        rows, state = work.active, work.state
        x, y, t = attack.ask(state), board.y[rows], state["t"]
        if attack.loss is None:
            logits = board.seen(rows, oracle.logits(x))
            values, gradient = torch.zeros(len(x), device=x.device), torch.zeros_like(x)
        else:
            logits, values, gradient = oracle.gradient(x, y, t, attack.loss, partial(board.seen, rows))
            board.backwards[rows] += 1
            if oracle.search is not None:
                logits = confirmed(oracle, board, rows, x, logits)
        board.forwards[rows] += 1
        fooled = board.tell(rows, x, logits, ball, eps=state["eps"], by=by, counts=state.get("counts"))
        work.hit[rows[fooled]] = True
        through = attack.tell(state, logits, values, gradient)
        stay = ~(through if minimise else through | fooled)
        if not bool(stay.all()):
            work.active = rows[stay]
            work.state = {name: value[stay] for name, value in state.items()}
        if pause is not None and time.monotonic() - since > every_s:
            pause()
            since = time.monotonic()


def confirmed(oracle: Oracle, board: Board, rows: Tensor, x: Tensor, logits: Tensor) -> Tensor:
    """Logits of a search in few digits, those of points that seem to fool the model in the model's own format."""
    seems = logits.argmax(1) != board.y[rows]
    if bool(seems.any()):
        logits = logits.clone()
        logits[seems] = board.seen(rows[seems], oracle.logits(x[seems]))
    return logits


def refill(attack: Attack, board: Board, work: Work, *, eps: float, lanes: int) -> None:
    """Put images of the queue on free lanes."""
    free = lanes - (0 if work.active is None else len(work.active))
    some = slice(work.place, work.place + free)
    rows = work.rows[some]
    if not len(rows):
        return
    work.place += len(rows)
    radii = torch.full((len(rows),), eps, device=board.x.device)
    known = (board.x[rows], board.nearest[rows], board.fooling[rows], board.y[rows])
    new = attack.start(Lane(*known, work.targets[some], radii, work.keys[some]))
    new |= {"eps": radii, "t": work.targets[some], "y": board.y[rows]}
    old = work.state
    work.active = rows if work.active is None else torch.cat([work.active, rows])
    work.state = new if old is None else {name: torch.cat([old[name], value]) for name, value in new.items()}
