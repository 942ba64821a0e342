"""What `vlmkit attack features` takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.attack import IMAGES
from vlmkit.core.configs.attack_perturbing import Perturbing, distinct
from vlmkit.core.configs.fields import argument, option
from vlmkit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AttackFeaturesConfig(Perturbing):
    """Look inside transformers classifiers: early maps, how low their frequencies are, how far each layer moves.

    Told for each layer: the share of low frequencies in the energy of its maps, and how far an attack moves it,
    |h' - h| / |h|. Over three models or more, the correlation of the share in an early layer, and of each third of the
    frequencies, with the accuracy that the suite `fast` leaves.
    """

    command: ClassVar[str] = "attack"
    action: ClassVar[str] = "features"
    makes: ClassVar[str | None] = "features"
    usual: ClassVar[Mapping[str, tuple[str, ...]]] = {"linf": ("8/255",), "l2": ("1",), "l1": ("12",)}
    outputs: ClassVar[str] = (
        "part-00000.parquet (a row a model, layer and image), maps-*.png (feature maps), drift.svg, report.html"
    )
    paper: ClassVar[str] = "On the adversarial robustness of vision transformers (Shao et al., 2021)"
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit attack features vit cnn photos --n 200 --out features",
        "vlmkit attack features vit photos --layer 2 --eps 4/255 --out features",
    )

    models: tuple[str, ...] = argument(
        help="Transformers folders with an image classifier, or of CLIP models with --classes.", metavar="MODEL",
        eats=("model", "run"), maybe_path=True,
    )  # fmt: skip
    images: Path = argument(help=IMAGES, metavar="IMAGES", eats=("images",))
    layer: int = option(1, help="The early layer: 0 is what the first block is given, 1 what it makes of that.")
    shown: int = option(4, help="Images whose feature maps are drawn.")

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct(self.models, least=1, where="vlmkit attack features MODEL… IMAGES")
        if len(self.radii) != 1:
            raise InputError(f"{len(self.radii)} radii", where="--eps", fix="one, such as --eps 8/255")
        for flag, value in (("--layer", self.layer), ("--shown", self.shown)):
            if value < 0:
                raise InputError(f"{flag} is {value}", where=flag, fix="zero or more")
