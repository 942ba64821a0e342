"""The work of `vlmkit attack run`, cut into units: images of one shape, as many as fit into memory, in one norm."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.curve import FEW, Done, Subject, measure, steps_of
from vlmkit.core.attack.evidence import LOOKED_AT, Sign, blind, differentiable, gain_signs, static_signs
from vlmkit.core.attack.named import rounds_of
from vlmkit.core.attack.outcome import Row, rows_of, settle
from vlmkit.core.attack.suites import FRESH
from vlmkit.core.attack.trail import FileTrail
from vlmkit.core.configs.attack import AttackConfig
from vlmkit.core.io.progress import log, progress
from vlmkit.core.recipes.attack_parts import Exam

UNIT_BYTES = 256 << 20  # of pixels
SOME = 8  # images at which a gradient is looked for


@dataclass(frozen=True)
class Part:
    """What came of a unit: places of its images, a row and a change (N, C, Y, X) for each, steps, signs, passes."""

    places: np.ndarray
    rows: list[Row]
    changes: Tensor
    done: list[Done]
    signs: list[Sign]
    forwards: int
    backwards: int


@dataclass(frozen=True)
class Goal:
    """What a targeted attack wants: a class of each image (N,), or nothing."""

    classes: np.ndarray | None = None

    def of(self, group: np.ndarray, place: torch.device) -> Tensor | None:
        """The goals of a group."""
        return None if self.classes is None else torch.from_numpy(self.classes[group]).to(place)


def units(exam: Exam) -> Iterator[np.ndarray]:
    """The groups of an exam in pieces of bounded size."""
    for group in exam.groups:
        rows = max(1, UNIT_BYTES // exam.pictures.pixels[group[0]].nbytes)
        yield from (group[start : start + rows] for start in range(0, len(group), rows))


def examine(config: AttackConfig, exam: Exam, norm: str, goal: Goal, state: Path) -> list[Part]:
    """All units in a norm."""
    return [
        examined(config, exam, norm, group, goal, state / f"{norm}-{number}.safetensors")
        for number, group in enumerate(units(exam))
    ]


def examined(config: AttackConfig, exam: Exam, norm: str, group: np.ndarray, goal: Goal, trail: Path) -> Part:
    """A unit in a norm; what a killed run has done of it is not done again."""
    oracle, place, ball = exam.oracle(group), exam.device, BALLS[norm]
    x, y, ids = exam.stack(group, place)
    gradients = differentiable(oracle, x[:1], y[:1])
    useful = gradients and not blind(oracle, x[:SOME], y[:SOME])
    if not useful:
        log.warning("the model gives no gradient, or zero: only attacks that need none are run")
    assert exam.model.num_classes is not None
    classes = 2 if goal.classes is not None else exam.model.num_classes
    rounds = rounds_of(config.suite, config.attacks, ball, classes, gradients=useful)
    subject = Subject.of(
        oracle, x, y, ids, ball, lanes=config.batch_size, goal=goal.of(group, place),
        malt=any(one.malt for one in rounds),
    )  # fmt: skip
    radii, fresh = config.radii[norm], bool(config.attacks) or config.suite in FRESH
    steps = steps_of(ball, rounds, radii, fresh=fresh)
    share = len(group) / len(exam.pictures.ids)

    def told(name: str, eps: float, robust: float, done: float) -> None:
        progress(f"attack in {norm}", round(done, 2), len(steps), f"steps ({name})", eps=eps, robust=robust)

    found = measure(
        subject, rounds, radii, lanes=config.batch_size, seed=config.seed, fresh=fresh,
        few=math.ceil(FEW * share) if useful else 0, trail=FileTrail(trail), told=told,
    )  # fmt: skip
    most = math.ceil(LOOKED_AT * share)
    signs = static_signs(subject, seed=config.seed, gradients=gradients, most=most)
    signs += gain_signs(found.done, int(subject.right.sum()))
    changes = settle(subject, lanes=config.batch_size)
    rows = list(rows_of(subject, steps, y, radii, found.held))
    for row, one in enumerate(rows):
        changes[row] *= one["status"] == "fooled"
    return Part(group, rows, changes.cpu(), found.done, signs, oracle.forwards, oracle.backwards)
