"""What `vlmkit attack transfer` takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.attack import IMAGES, MODEL, RADII
from vlmkit.core.configs.attack_perturbing import STEPS, Perturbing, StepsName, distinct
from vlmkit.core.configs.fields import argument, option
from vlmkit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AttackTransferConfig(Perturbing):
    """Show what fools one classifier to the others: accuracies of each target on the changes made for each source.

    Each model is attacked once a radius. On the diagonal is the accuracy under its own attack. The paper gives
    100 (1 - accuracy).
    """

    command: ClassVar[str] = "attack"
    action: ClassVar[str] = "transfer"
    makes: ClassVar[str | None] = "transfer"
    usual: ClassVar[Mapping[str, tuple[str, ...]]] = {**RADII, "linf": ("0.005", "0.01", "0.02", "0.05", "0.08", "0.1")}
    outputs: ClassVar[str] = (
        "part-00000.parquet (a row a source, target and radius), right.safetensors (which images are right), "
        "matrix.svg, report.html"
    )
    paper: ClassVar[str] = "On the adversarial robustness of vision transformers (Shao et al., 2021)"
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit attack transfer vit cnn photos --out transfer",
        "vlmkit attack transfer vit cnn net.py:load photos --attack pgd --eps 8/255 --n 1000 --out transfer",
    )

    models: tuple[str, ...] = argument(help=MODEL, metavar="MODEL", eats=("model", "run"), maybe_path=True)
    images: Path = argument(help=IMAGES, metavar="IMAGES", eats=("images",))
    attack: StepsName = option("fgsm", help=STEPS)

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct(self.models, least=2, where="vlmkit attack transfer MODEL… IMAGES")
        if self.pixels != "original":
            raise InputError(
                "models that resize images differently share no pixels but the images' own",
                where="--pixels model", fix="--pixels original",
            )  # fmt: skip
