"""What `vlmkit attack` takes."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from vlmkit.core.configs.fields import COMPUTE, INPUTS, Action, argument, option
from vlmkit.core.configs.words import read_word
from vlmkit.core.errors import InputError

PAPER = (
    "On the adversarial robustness of vision transformers (Shao et al., 2021); Reliable evaluation of adversarial "
    "robustness with an ensemble of diverse parameter-free attacks (Croce and Hein, 2020)"
)
MODEL = (
    "A transformers folder with an image classifier, or of a CLIP or SigLIP model with --classes; FILE.py:FUNCTION "
    "giving an nn.Module from pixels in [0, 1] to logits; TorchScript (.pt) or an exported program (.pt2)."
)
IMAGES = "Labelled images: parquet, a folder of class folders, idx files, or npz (images, labels)."
CLASSES = (
    "Names of the classes in the model's order, one on each line; for CLIP also a safetensors file of `embeddings`."
)
Norm = Literal["linf", "l2", "l1"]
SuiteName = Literal["standard", "fast", "autoattack", "shao2021"]
ATTACKS = (
    "fgsm, pgd, mi-fgsm, apgd-ce, apgd-dlr, apgd-margin, apgd-pma, apgd-t, apgd-malt, fab-t, fmn, square, pgd-low, "
    "pgd-high"
)
RADII = {
    "linf": ("1/255", "2/255", "4/255", "8/255"), "l2": ("0.25", "0.5", "1", "2"), "l1": ("3", "6", "12", "24"),
}  # fmt: skip
SHAO = ("0.001", "0.003", "0.005", "0.008", "0.01", "0.1")


@dataclass(frozen=True, kw_only=True)
class Examining(Action):
    """What all actions take that ask a classifier about labelled images."""

    classes: Path | None = option(None, help=CLASSES, panel=INPUTS, metavar="FILE")
    n: int | None = option(None, help="Take so many images, drawn by --seed; default: all.", panel=INPUTS)
    pixels: Literal["original", "model"] = option(
        "original",
        help="Whose pixels are changed: those of the images as they are, or as the model's processor resizes them.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = option(
        "auto", help="Number format of the search; verdicts are in float32.", panel=COMPUTE
    )
    batch_size: int = option(64, help="Images at a time; the results do not depend on it.", panel=COMPUTE, digest=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n is not None and self.n < 1:
            raise InputError(f"--n is {self.n}", where="--n", fix="a positive number of images")
        if self.batch_size < 1:
            raise InputError(f"--batch-size is {self.batch_size}", where="--batch-size", fix="a positive number")


@dataclass(frozen=True, kw_only=True)
class AttackConfig(Examining):
    """Measure how robust an image classifier is, and whether the number can be trusted.

    Told is the accuracy that no attack takes from it, at each radius. The largest radius is attacked first, and only
    images that are fooled there go on to smaller ones, so a whole curve costs little more than its largest radius.
    Every change that is claimed is read back from the disk and asked again in float32. The verdict `reliable` says
    whether gradients can be trusted here, with the evidence.

    standard: as strong as AutoAttack for a fraction of its queries. fast: a first look. autoattack, shao2021: as
    published, anew at each radius. --dtype bfloat16 (the default on a GPU) searches in few digits.
    """

    command: ClassVar[str] = "attack"
    makes: ClassVar[str | None] = "adversarial"
    outputs: ClassVar[str] = (
        "images.parquet (status, radius, attack, queries of each image), deltas.safetensors (the changes), curve.svg, "
        "curve.png, report.html"
    )
    paper: ClassVar[str] = PAPER
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit attack vit photos --eps 1/255,2/255,4/255 --n 1000 --out robustness",
        "vlmkit attack net.py:load digits.npz --norm l2 --eps 0.5,1 --suite autoattack --out l2",
        "vlmkit attack clip photos --classes classes.safetensors --attacks apgd-ce,square --out clip-robustness",
        "vlmkit attack vit photos --target least-likely --eps 8/255 --out targeted",
    )

    model: str = argument(help=MODEL, metavar="MODEL", eats=("model", "run"), maybe_path=True)
    images: Path = argument(help=IMAGES, metavar="IMAGES", eats=("images",))
    suite: SuiteName = option("standard", help="Which attacks.")
    attacks: tuple[str, ...] = option((), help=f"Attacks by name instead of a suite: {ATTACKS}.", metavar="NAMES")
    norm: tuple[Norm, ...] = option(("linf",), help="Norm of a change, or several.")
    eps: tuple[str, ...] = option(
        (), help="Radii for pixels in [0, 1]: 1/255,2/255, or of one norm of several: l2:0.5,1.", metavar="RADII",
        repeat=True,
    )  # fmt: skip
    target: str | None = option(
        None, help="Count only changes to this class: a name, a number, least-likely or random.", metavar="CLASS"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.norm or len(set(self.norm)) < len(self.norm):
            raise InputError("a norm is given twice, or none", where="--norm", fix="--norm linf or --norm linf,l2")
        if self.attacks and self.suite != "standard":
            raise InputError("--attacks and --suite are two ways", where="--attacks", fix="leave one out")
        if self.suite == "shao2021" and self.norm != ("linf",):
            raise InputError("shao2021 is of the max norm", where="--norm", fix="--norm linf")
        _ = self.radii  # what cannot be read is refused here

    @property
    def radii(self) -> dict[str, tuple[float, ...]]:
        """The radii of each norm, ascending."""
        words: dict[str, list[str]] = {norm: [] for norm in self.norm}
        for word in self.eps:
            norm, colon, rest = word.rpartition(":")
            if colon and norm not in words:
                raise InputError(f"'{norm}' is no norm that is attacked", where="--eps", fix=f"--norm {norm}")
            for name in [norm] if colon else self.norm:
                words[name] += [one.strip() for one in rest.split(",") if one.strip()]
        defaults = {**RADII, "linf": SHAO} if self.suite == "shao2021" else RADII
        return {
            norm: tuple(sorted({radius(word, norm) for word in some or defaults[norm]})) for norm, some in words.items()
        }


def radius(word: str, norm: str) -> float:
    """A radius in a norm, from its word."""
    eps = float(read_word(word, float, "--eps"))
    if not (math.isfinite(eps) and eps > 0):
        raise InputError(
            f"the radius is {word}", where="--eps", fix="a positive number; accuracy at 0 is told in any case"
        )
    if norm == "linf" and eps >= 1:
        what = f"a radius of {word} lets every pixel take any value: pixels go from 0 to 1"
        raise InputError(what, where="--eps", fix=f"{word}/255 was probably meant" if eps <= 255 else "such as 8/255")
    return eps
