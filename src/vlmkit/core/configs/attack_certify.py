"""What `vlmkit attack certify` takes."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.attack import IMAGES, MODEL, Examining
from vlmkit.core.configs.fields import INPUTS, argument, option
from vlmkit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AttackCertifyConfig(Examining):
    """Certify a classifier by randomised smoothing: radii in L2 within which no attack of any kind changes the answer.

    The certificate is that of the smoothed classifier, which answers what the model answers most often under Gaussian
    noise. N0 samples choose the class, N further ones bound its probability from below (Clopper-Pearson, at ALPHA), and
    the radius is sigma Phi^-1 of that bound. With ALPHA 0.001 one radius in a thousand may be too long. A denoiser in
    front of the model makes ordinary classifiers certifiable.
    """

    command: ClassVar[str] = "attack"
    action: ClassVar[str] = "certify"
    makes: ClassVar[str | None] = "certified"
    outputs: ClassVar[str] = (
        "part-00000.parquet (prediction, radius and votes of each image), certified.svg, report.html"
    )
    paper: ClassVar[str] = "Certified adversarial robustness via randomized smoothing (Cohen et al., 2019)"
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit attack certify vit photos --n 500 --out certified",
        "vlmkit attack certify vit photos --sigma 0.25,0.5 --denoiser denoise.py:load --out certified",
    )

    model: str = argument(help=MODEL, metavar="MODEL", eats=("model", "run"), maybe_path=True)
    images: Path = argument(help=IMAGES, metavar="IMAGES", eats=("images",))
    sigma: tuple[float, ...] = option((0.25,), help="Deviation of the noise, pixels in [0, 1].")
    n0: int = option(100, help="Samples that choose the class.")
    samples: int = option(1000, help="Samples that bound its probability.")
    alpha: float = option(0.001, help="How often a radius may be too long.")
    denoiser: str | None = option(
        None, help="FILE.py:FUNCTION giving a module from noisy pixels to pixels, or being that function.",
        panel=INPUTS, metavar="FILE.py:FUNCTION",
    )  # fmt: skip
    radii: tuple[float, ...] = option((), help="Radii to tell accuracies at; default: 0, 1/2, 1, 3/2 and 2 sigma.")
    batch_size: int = option(
        128, help="Samples at a time; the results do not depend on it.", panel="Compute", digest=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for sigma in self.sigma:
            if not (math.isfinite(sigma) and sigma > 0):
                raise InputError(f"--sigma is {sigma:g}", where="--sigma", fix="a positive number, such as 0.25")
        if not self.sigma or len(set(self.sigma)) < len(self.sigma):
            raise InputError("a sigma is given twice, or none", where="--sigma", fix="--sigma 0.25,0.5")
        for flag, value in (("--n0", self.n0), ("--samples", self.samples)):
            if value < 1:
                raise InputError(f"{flag} is {value}", where=flag, fix="a positive number")
        if not 0 < self.alpha < 0.5:
            raise InputError(f"--alpha is {self.alpha:g}", where="--alpha", fix="a small share, such as 0.001")
        if self.alpha ** (1 / self.samples) <= 0.5:
            least = math.floor(-math.log2(self.alpha)) + 1
            what = f"{self.samples} samples cannot certify anything at alpha {self.alpha:g}, though all agree"
            raise InputError(what, where="--samples", fix=f"{least} or more")
        for one in self.radii:
            if not (math.isfinite(one) and one >= 0):
                raise InputError(f"a radius is {one:g}", where="--radii", fix="zero or more")

    def radii_at(self, sigma: float) -> tuple[float, ...]:
        """The radii that are told, ascending."""
        return tuple(sorted(set(self.radii))) or tuple(half * sigma / 2 for half in range(5))
