"""Whether a robust accuracy can be trusted: signs of gradients that mislead, each a share of images on which it shows.

A model may withstand attacks because it is robust, or because its gradients say nothing (Athalye et al. 2018; Pintor et
al. 2022). Every sign is counted on images, and fires when the share is above its limit beyond chance: the lower
Clopper-Pearson bound at 95 percent. What shows on all images fires however few they are, unless it is a gain of one
attack over others: that one image was found later says nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from statsmodels.stats.proportion import proportion_confint
from torch import Tensor

from vlmkit.core.attack.apgd import Apgd
from vlmkit.core.attack.balls import Ball
from vlmkit.core.attack.board import Board
from vlmkit.core.attack.curve import Done, Subject
from vlmkit.core.attack.lanes import Work, run
from vlmkit.core.attack.losses import Loss, ce, margin
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.randomness import keys_of, uniform

LOOKED_AT, PUSHED = 64, 32  # images
LESS_THAN_A_STEP = 1 / 512  # of pixel values: below half of 1 / 255
SAME = 1e-5  # of the largest logit
PUSHES = 40  # steps
MEANS = {
    "non_differentiable": "the model gives no gradient: only attacks that need none were run",
    "zero_gradient": "the gradient is zero, so attacks that follow it do not move",
    "vanishing_gradient": "the gradient of the cross-entropy underflows to zero (logits too large)",
    "flat": "a change below half a step of 8 bits changes nothing: the input is quantised",
    "random_output": "the same image gives other logits each time",
    "probabilities": "the model gives probabilities, not logits, which flattens losses",
    "unbounded": "no change at all was found by gradients, with any change allowed",
    "square_gain": "random search found changes where gradients found none",
    "more_steps": "more steps from another point found changes that the suite missed",
    "unverified": "changes that do not fool the model when they are read back",
}  # what it means when it fires
LIMITS = {
    "zero_gradient": 0.05, "vanishing_gradient": 0.05, "flat": 0.05, "unbounded": 0.1, "probabilities": 0.5,
    "square_gain": 0.002, "more_steps": 0.002,
}  # fmt: skip
GAINS = ("square_gain", "more_steps")


@dataclass(frozen=True)
class Sign:
    """An indicator that shows on `count` images `of` those looked at; `looks` is among how many counts it is the
    largest."""

    indicator: str
    count: int
    of: int
    looks: int = 1

    @property
    def fired(self) -> bool:
        """Whether the share is above its limit beyond chance."""
        gain = self.indicator in GAINS
        if self.count <= gain or self.count == self.of:
            return self.count > gain
        low, _ = proportion_confint(self.count, self.of, alpha=0.1 / self.looks, method="beta")
        return bool(low > LIMITS.get(self.indicator, 0.0))

    def row(self) -> dict[str, object]:
        """As the result has it."""
        value = self.count / self.of if self.of else None
        return {
            "indicator": self.indicator, "value": value, "fired": self.fired, "count": self.count, "of": self.of,
            "means": MEANS[self.indicator],
        }  # fmt: skip


def together(signs: Sequence[Sign]) -> list[Sign]:
    """Signs of several parts of the images as those of all."""
    names = dict.fromkeys(one.indicator for one in signs)
    alike = {name: [one for one in signs if one.indicator == name] for name in names}
    return [
        Sign(name, sum(one.count for one in some), sum(one.of for one in some), max(one.looks for one in some))
        for name, some in alike.items()
    ]


def differentiable(oracle: Oracle, x: Tensor, y: Tensor) -> bool:
    """Whether the model has a gradient at images, be it zero."""
    whole = x.clone().requires_grad_()
    values = margin(oracle.model(whole), y, y)
    oracle.forwards += len(x)
    if not values.requires_grad:
        return False
    try:
        (slope,) = torch.autograd.grad(values.sum(), whole, allow_unused=True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:  # how torch says that an operation of the model has no derivative
        return False
    return slope is not None


def blind(oracle: Oracle, x: Tensor, y: Tensor) -> bool:
    """Whether the gradient is zero at all of some images: attacks that follow it do not move."""
    return bool(no_slope(oracle, x, y, margin, lambda logits: logits).all())


def static_signs(subject: Subject, *, seed: int, gradients: bool, most: int = LOOKED_AT) -> list[Sign]:
    """What a few images show that the model has right."""
    rows = subject.right.nonzero()[:most, 0]
    if not len(rows):
        return []
    oracle, x, y = subject.oracle, subject.board.x[rows], subject.board.y[rows]
    seen = subject.board.seen
    first, again = oracle.logits(x), oracle.logits(x)
    largest = first.abs().max().clamp_min(1e-30)
    other = (first - again).abs().amax(1) > SAME * largest
    keys = keys_of([subject.ids[row] for row in rows.tolist()], seed=seed, what="less than a step").to(x.device)
    noise = LESS_THAN_A_STEP * (2 * uniform(keys, torch.zeros_like(keys), x.shape[1:]) - 1)
    still = (oracle.logits((x + noise).clamp(0, 1)) == first).all(1)
    shares = (first.min() >= 0) & ((first.sum(1) - 1).abs() < 1e-4)
    found = {"random_output": other, "flat": still, "probabilities": shares.expand(len(rows))}
    if gradients:
        zero = no_slope(oracle, x, y, margin, lambda logits: seen(rows, logits))
        found["zero_gradient"] = zero
        found["vanishing_gradient"] = ~zero & no_slope(oracle, x, y, ce, lambda logits: seen(rows, logits))
    else:
        found["non_differentiable"] = torch.ones_like(other)
    signs = [Sign(name, int(flags.sum()), len(rows)) for name, flags in found.items()]
    return [*signs, unbounded(subject, rows[:PUSHED], seed=seed)] if gradients else signs


def no_slope(oracle: Oracle, x: Tensor, y: Tensor, loss: Loss, seen: Callable[[Tensor], Tensor]) -> Tensor:
    """At which images the gradient of a loss is zero throughout (B,)."""
    target = 1 - y.clamp_max(1)  # no loss here looks at it
    _, _, gradient = oracle.gradient(x, y, target, loss, seen)
    return gradient.flatten(1).abs().amax(1) == 0


def unbounded(subject: Subject, rows: Tensor, *, seed: int) -> Sign:
    """Images that gradients do not bring to fool the model although any change is allowed: not of a sound model."""
    known, ball = subject.board, subject.ball
    goal = None if known.goal is None else known.goal[rows]
    board = Board.of(known.x[rows], known.y[rows], goal=goal, slack=known.slack)
    eps = reach(ball, known.x[0])
    keys = keys_of([subject.ids[row] for row in rows.tolist()], seed=seed, what="unbounded").to(rows.device)
    work = Work(torch.arange(len(rows), device=rows.device), subject.order[rows, 0], keys)
    attack = Apgd("unbounded", ball, margin, PUSHES)
    run(attack, subject.oracle, board, ball, work, eps=eps, lanes=len(rows), by=0)
    return Sign("unbounded", int(board.size.isinf().sum()), len(rows))


def reach(ball: Ball, image: Tensor) -> float:
    """The size of the largest change of an image."""
    return float(ball.size(torch.ones_like(image)[None])[0])


def gain_signs(done: Sequence[Done], right: int) -> list[Sign]:
    """What random search and more steps found where the suite's gradients had found nothing."""
    radii = sorted({one.eps for one in done if one.attack.startswith("square")})
    gains = [sum(one.fooled for one in done if one.attack.startswith("square") and one.eps == eps) for eps in radii]
    signs = [Sign("square_gain", max(gains), right, len(radii))] if radii and right else []
    more = [one for one in done if one.attack == "more-steps" and one.tried]
    return [*signs, *(Sign("more_steps", one.fooled, one.tried) for one in more)]
