"""What `vlmkit attack patch-fool` takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.attack import IMAGES, Examining
from vlmkit.core.configs.fields import argument, option
from vlmkit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AttackPatchFoolConfig(Examining):
    """Change a few patches of a vision transformer without any bound, where its attention is: Patch-Fool.

    It tells how far a model leans on single tokens. It is no attack within a ball: anyone sees the change, and its
    numbers do not compare with robust accuracies.
    """

    command: ClassVar[str] = "attack"
    action: ClassVar[str] = "patch-fool"
    makes: ClassVar[str | None] = "patched"
    outputs: ClassVar[str] = (
        "part-00000.parquet (a row an image and number of patches), deltas.safetensors (the changes), report.html"
    )
    paper: ClassVar[str] = (
        "Patch-Fool: Are vision transformers always robust against adversarial perturbations? (Fu et al., 2022)"
    )
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit attack patch-fool vit photos --n 200 --out patches",
        "vlmkit attack patch-fool vit photos --patches 1,2,4 --steps 100 --out patches",
    )

    model: str = argument(
        help="A transformers folder of a ViT, DeiT or the like, or of a CLIP model with --classes.", metavar="MODEL",
        eats=("model", "run"), maybe_path=True,
    )  # fmt: skip
    images: Path = argument(help=IMAGES, metavar="IMAGES", eats=("images",))
    patches: tuple[int, ...] = option((1,), help="How many patches may be changed; several are attacked one by one.")
    steps: int = option(250, help="Steps of the attack; the released code takes 250.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.patches or min(self.patches) < 1 or len(set(self.patches)) < len(self.patches):
            raise InputError("--patches are positive numbers, each once", where="--patches", fix="--patches 1,2,4")
        if self.steps < 0:
            raise InputError(f"--steps is {self.steps}", where="--steps", fix="zero or more")
