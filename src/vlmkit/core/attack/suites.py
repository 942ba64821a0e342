"""Suites of attacks, each a list of rounds over the images that are left.

`autoattack` and `shao2021` have the settings of their papers, to the letter in Linf (see square.py and apgd.py for the
other norms). `standard` is ours: the same kinds of loss at fewer steps, from more starts. FAB is left out: it was
measured to find nothing after APGD.
"""

from collections.abc import Callable
from dataclasses import dataclass

from vlmkit.core.attack.apgd import Apgd
from vlmkit.core.attack.balls import Ball
from vlmkit.core.attack.fab import Fab
from vlmkit.core.attack.lanes import Attack
from vlmkit.core.attack.losses import ce, dlr_to, margin
from vlmkit.core.attack.square import Square
from vlmkit.core.attack.steps import Steps

MOST_TARGETS = 9  # of AutoAttack
FRESH = ("autoattack", "shao2021")  # suites that are judged as they are published: anew at each radius


@dataclass(frozen=True)
class Round:
    """An attack, with the rank of the class that it aims at: 0 is the likeliest wrong one, or (`malt`) the one whose
    boundary is nearest."""

    attack: Attack
    rank: int = 0
    malt: bool = False

    @property
    def name(self) -> str:
        """What its random numbers and results go by."""
        return f"{self.attack.name}-{self.rank + 1}" if self.rank else self.attack.name


def standard(ball: Ball, classes: int) -> list[Round]:
    """Meant to be at least as strong as AutoAttack for less.

    Gradients first, from within the ball and from outside of it (two losses and three targets); then Square Attack from
    the point nearest to fooling the model, coarse and fine, and gradients again from where each of them came.

    Measured (benchmarks/attack.py; results/attack.md there): on five CNNs and ViTs of MNIST and digits the gradients
    end where nine targets of 100 steps and more losses end; of targets in the order of MALT (Melamed et al. 2024) the
    first one or two suffice, in the order of the logits it takes three. On a hardened CNN that masks its gradients a
    little (400 images, two seeds) APGD from within leaves 112 right, from outside 91 and 88, Square and gradients from
    the nearest point 74 and 74; AutoAttack's settings leave 90. On a hardened ViT Square finds nothing. Where there is
    no gradient at all, 5,000 queries of Square find some 2 in 100 images more.
    """
    targets = [Round(Apgd("apgd-t", ball, dlr_to, 50), rank, malt=True) for rank in range(min(3, classes - 1))]
    return [
        Round(Apgd("apgd-ce", ball, ce, 50)),
        Round(Apgd("apgd-margin", ball, margin, 50)),
        Round(Apgd("apgd-margin-outside", ball, margin, 100, outside=True)),
        Round(Apgd("apgd-ce-outside", ball, ce, 100, outside=True)),
        *targets,
        Round(Square("square-coarse", ball, 1300, warm=True, first=300, last=4000)),
        Round(Apgd("apgd-margin-near", ball, margin, 50, warm=True)),
        Round(Square("square-fine", ball, 800, warm=True, first=1000)),
        Round(Apgd("apgd-ce-near", ball, ce, 50, warm=True)),
    ]


def fast(ball: Ball, classes: int) -> list[Round]:
    """For a first look: 70 steps."""
    del classes
    return [Round(Apgd("apgd-ce", ball, ce, 30)), Round(Apgd("apgd-margin", ball, margin, 40))]


def autoattack(ball: Ball, classes: int) -> list[Round]:
    """APGD-CE, APGD-T and FAB-T with 100 steps for each of up to nine targets, Square with 5,000 queries (Croce and
    Hein 2020), whose squares shrink as in the first half of 10,000."""
    ranks = range(min(MOST_TARGETS, classes - 1))
    return [
        Round(Apgd("apgd-ce", ball, ce, 100)),
        *(Round(Apgd("apgd-t", ball, dlr_to, 100), rank) for rank in ranks),
        *(Round(Fab("fab-t", ball, 100), rank) for rank in ranks),
        Round(Square("square", ball, 5000, last=5000)),
    ]


def shao2021(ball: Ball, classes: int) -> list[Round]:
    """PGD of 40 steps of eps / 30 from a random point (Shao et al. 2021), judged after the last one."""
    del classes
    return [Round(Steps("pgd-40", ball, ce, 40, 1 / 30, last=True))]


SUITES: dict[str, Callable[[Ball, int], list[Round]]] = {
    "standard": standard, "fast": fast, "autoattack": autoattack, "shao2021": shao2021,
}  # fmt: skip
