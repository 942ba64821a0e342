"""What `vlmkit attack spectrum` takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.attack import IMAGES, MODEL
from vlmkit.core.configs.attack_perturbing import Perturbing
from vlmkit.core.configs.fields import argument, option
from vlmkit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AttackSpectrumConfig(Perturbing):
    """Which frequencies fool a classifier: changes found by an attack, cut into bands and shown to it one by one.

    The plane of the DCT is cut at F rows and columns: low [:F, :F], high [F:, F:], and mixed, the two pieces that the
    paper's masks leave out. Told are the accuracy with each band of the change alone and with all but it, the accuracy
    under attacks that are confined to a band (pgd-low, pgd-high), where the energy of the change lies, and what the
    model loses when a band of the image itself is taken away. Changes are used as the attack leaves them.
    """

    command: ClassVar[str] = "attack"
    action: ClassVar[str] = "spectrum"
    makes: ClassVar[str | None] = "spectrum"
    outputs: ClassVar[str] = (
        "part-00000.parquet (a row an image and radius), deltas.safetensors (the changes), spectra.safetensors (energy "
        "by ring and coefficient), bands.svg, radial.svg, plane.svg, report.html"
    )
    paper: ClassVar[str] = "On the adversarial robustness of vision transformers (Shao et al., 2021)"
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit attack spectrum vit photos --eps 0.01,0.1 --n 1000 --out spectrum",
        "vlmkit attack spectrum vit photos --norm l2 --cutoff 16 --out spectrum-l2",
    )

    model: str = argument(help=MODEL, metavar="MODEL", eats=("model", "run"), maybe_path=True)
    images: Path = argument(help=IMAGES, metavar="IMAGES", eats=("images",))
    cutoff: int | None = option(
        None, help="F; default: the paper's share, 32 of 224 pixels, of the shorter side.", metavar="F"
    )
    confined: bool = option(True, help="Also attack within the low and within the high band.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cutoff is not None and self.cutoff < 1:
            raise InputError(f"--cutoff is {self.cutoff}", where="--cutoff", fix="1 or more rows of the DCT plane")
