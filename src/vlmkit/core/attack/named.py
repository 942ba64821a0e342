"""Attacks by name, with the settings that they are known by."""

from collections.abc import Callable, Sequence

from vlmkit.core.attack.apgd import Apgd
from vlmkit.core.attack.balls import Ball
from vlmkit.core.attack.confined import Confined
from vlmkit.core.attack.fab import Fab
from vlmkit.core.attack.fmn import Fmn
from vlmkit.core.attack.losses import ce, dlr, dlr_to, margin, pma
from vlmkit.core.attack.square import Square
from vlmkit.core.attack.steps import Steps
from vlmkit.core.attack.suites import MOST_TARGETS, SUITES, Round
from vlmkit.core.errors import InputError, nearest

Rounds = Callable[[Ball, int], list[Round]]


def ranks(classes: int) -> range:
    """The ranks of the classes that AutoAttack aims at."""
    return range(min(MOST_TARGETS, classes - 1))


ATTACKS: dict[str, Rounds] = {
    "fgsm": lambda ball, _: [Round(Steps("fgsm", ball, ce, 1, 1.0, random_start=False, last=True))],
    "pgd": lambda ball, _: [Round(Steps("pgd", ball, ce, 40, 0.1))],
    "pgd-low": lambda ball, _: [Round(Confined("pgd-low", ball, ce, "low"))],
    "pgd-high": lambda ball, _: [Round(Confined("pgd-high", ball, ce, "high"))],
    "mi-fgsm": lambda ball, _: [Round(Steps("mi-fgsm", ball, ce, 10, 0.1, random_start=False, momentum=1.0))],
    "apgd-ce": lambda ball, _: [Round(Apgd("apgd-ce", ball, ce))],
    "apgd-dlr": lambda ball, _: [Round(Apgd("apgd-dlr", ball, dlr))],
    "apgd-margin": lambda ball, _: [Round(Apgd("apgd-margin", ball, margin))],
    "apgd-pma": lambda ball, _: [Round(Apgd("apgd-pma", ball, pma))],
    "apgd-t": lambda ball, classes: [Round(Apgd("apgd-t", ball, dlr_to), rank) for rank in ranks(classes)],
    "apgd-malt": lambda ball, classes: [
        Round(Apgd("apgd-malt", ball, dlr_to), rank, malt=True) for rank in ranks(classes)
    ],
    "fab-t": lambda ball, classes: [Round(Fab("fab-t", ball), rank) for rank in ranks(classes)],
    "fmn": lambda ball, _: [Round(Fmn("fmn", ball))],
    "square": lambda ball, _: [Round(Square("square", ball))],
}  # fmt: skip


def rounds_of(suite: str, attacks: Sequence[str], ball: Ball, classes: int, *, gradients: bool = True) -> list[Round]:
    """The rounds of a suite, or of attacks by name; without gradients those named that need none, or Square Attack with
    all its queries.

    Raises:
        InputError: no attack has such a name.
    """
    unknown = next((name for name in attacks if name not in ATTACKS), None)
    if unknown is not None:
        raise InputError(f"no attack is named '{unknown}'", where="--attacks", fix=nearest(unknown, ATTACKS))
    found = [one for name in attacks for one in ATTACKS[name](ball, classes)] or SUITES[suite](ball, classes)
    if gradients:
        return found
    return [one for one in found if attacks and one.attack.loss is None] or ATTACKS["square"](ball, classes)
