"""Randomised smoothing (Cohen, Rosenfeld and Kolter 2019, algorithm CERTIFY): radii that no attack can beat.

The smoothed classifier gives the class that a classifier gives most often under noise of deviation sigma. If that class
has probability p > 1/2, nothing shorter than sigma Phi^-1(p) in L2 changes it. p is bounded from below by samples, so a
radius is wrong with probability alpha at most. It holds for the smoothed classifier, not for the one that is smoothed.
A denoiser before the classifier (Salman et al. 2020) is a part of it.

Pixels with noise are not clipped. The noise of an image comes from its key and the sample's number alone, and is the
same for each sigma but for its size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import torch
from scipy.stats import beta
from torch import Tensor

from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.randomness import normal
from vlmkit.core.errors import InputError

ABSTAINS = -1


@dataclass(frozen=True)
class Certified:
    """What is known of an image.

    Attributes:
        prediction: the smoothed classifier's class; ABSTAINS where the samples do not tell.
        radius: L2, for pixels in [0, 1]; 0 where it abstains.
        votes: how many of the samples for the bound gave the class that was chosen.
        p_lower: the lower bound of its probability.
    """

    prediction: int
    radius: float
    votes: int
    p_lower: float


def certify(
    oracle: Oracle, x: Tensor, key: Tensor, *, sigma: float, n0: int = 100, samples: int = 1000, alpha: float = 0.001,
    lanes: int = 256, denoiser: Callable[[Tensor], Tensor] | None = None,
) -> Certified:  # fmt: skip
    """Certify an image x (C, Y, X) in [0, 1]; key () is that of its noise.

    Args:
        sigma: deviation of the noise, for pixels in [0, 1].
        n0: samples to choose the class by.
        samples: further ones, to bound its probability by.
        alpha: how often a radius may be wrong.
        lanes: samples at a time; it does not change the result.
        denoiser: from noisy pixels to pixels, both (B, C, Y, X).
    """

    def count(first: int, number: int) -> Tensor:
        return votes(oracle, x, key, sigma=sigma, first=first, number=number, lanes=lanes, denoiser=denoiser)

    chosen = int(count(0, n0).argmax())
    found = int(count(n0, samples)[chosen])
    p = lower_bound(found, samples, alpha)
    if p <= 0.5:
        return Certified(ABSTAINS, 0.0, found, p)
    return Certified(chosen, radius_of(p, sigma), found, p)


def votes(
    oracle: Oracle, x: Tensor, key: Tensor, *, sigma: float, first: int, number: int, lanes: int,
    denoiser: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:  # fmt: skip
    """How often each class (V,) is given to the image with the noises numbered from `first` on."""
    found: Tensor | None = None
    for counts in torch.arange(first, first + number, device=x.device).split(lanes):
        noisy = x + sigma * normal(key.expand(len(counts)), counts, x.shape)
        logits = oracle.logits(noisy if denoiser is None else denoised(denoiser, noisy))
        some = torch.bincount(logits.argmax(1), minlength=logits.shape[1])
        found = some if found is None else found + some
    assert found is not None
    return found


def denoised(denoiser: Callable[[Tensor], Tensor], noisy: Tensor) -> Tensor:
    """What the denoiser makes of pixels, if that can be pixels."""
    with torch.no_grad():
        clean = denoiser(noisy)
    if not isinstance(clean, Tensor) or clean.shape != noisy.shape:
        given = tuple(clean.shape) if isinstance(clean, Tensor) else type(clean).__name__
        raise InputError(
            f"the denoiser gives {given} for {tuple(noisy.shape)}", where="--denoiser", fix="return pixels (B, C, Y, X)"
        )
    return clean


def lower_bound(successes: int, trials: int, alpha: float) -> float:
    """Clopper and Pearson's lower bound of a probability, which is above it in a share alpha of the cases at most: the
    lower end of their two-sided interval at 2 alpha."""
    return float(beta.ppf(alpha, successes, trials - successes + 1)) if successes else 0.0


def radius_of(p_lower: float, sigma: float) -> float:
    """sigma Phi^-1(p_lower), for 1/2 < p_lower < 1 (theorem 1, with p_B = 1 - p_A)."""
    return sigma * NormalDist().inv_cdf(p_lower)


def largest(sigma: float, samples: int, alpha: float) -> float:
    """The radius when all samples agree: no image can be given a larger one."""
    p = lower_bound(samples, samples, alpha)
    return radius_of(p, sigma) if p > 0.5 else 0.0


def certified_right(predictions: Tensor, radii: Tensor, y: Tensor, radius: float) -> Tensor:
    """Which images (N,) the smoothed classifier has right, for certain, wherever they are moved by a radius."""
    return (predictions == y) & (radii >= radius)
