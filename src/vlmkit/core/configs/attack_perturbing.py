"""What the studies of `vlmkit attack` take that change images within radii of one norm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from vlmkit.core.configs.attack import RADII, Examining, Norm, radius
from vlmkit.core.configs.fields import option
from vlmkit.core.errors import InputError

StepsName = Literal["pgd", "fgsm"]
STEPS = "pgd: 40 steps of eps / 30 from a random point, judged after the last, as in the paper; fgsm: one step."


@dataclass(frozen=True, kw_only=True)
class Perturbing(Examining):
    """An attack in a norm, at radii."""

    usual: ClassVar[Mapping[str, tuple[str, ...]]] = RADII  # the default radii of each norm

    attack: StepsName = option("pgd", help=STEPS)
    norm: Norm = option("linf", help="Norm of a change.")
    eps: tuple[str, ...] = option((), help="Radii, pixels in [0, 1]: 1/255,2/255.", metavar="RADII")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.radii  # what cannot be read is refused here

    @property
    def radii(self) -> tuple[float, ...]:
        """The radii, ascending."""
        return tuple(sorted({radius(word, self.norm) for word in self.eps or self.usual[self.norm]}))


def distinct(models: tuple[str, ...], *, least: int, where: str) -> None:
    """Refuse too few models, or one that is named twice."""
    if len(models) < least:
        raise InputError(f"{len(models)} model is named", where=where, fix=f"name {least} models or more, then images")
    twice = next((word for word in models if models.count(word) > 1), None)
    if twice is not None:
        raise InputError(f"the model '{twice}' is named twice", where=where, fix="name each once")
