"""What perturbations and images hold at which frequencies (Shao et al. 2021, section on frequency).

The plane of frequencies is that of the orthonormal DCT-II of each channel: row u and column v of images (Y, X) stand
for u / (2 Y) and v / (2 X) cycles a pixel. A cut-off f parts it in three: low [:f, :f], high [f:, f:] and what is
left, two L-shaped pieces, mixed. The paper's masks leave out the mixed band without saying so; these add up.
"""

from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

from vlmkit.core.attack.balls import boxed
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.shapes import dims

Band = Literal["low", "mixed", "high"]
BANDS: tuple[Band, ...] = get_args(Band)
SHARE = 7  # the paper's f is 32 of 224 pixels
ROUNDING = 1e-9


def dct(x: Tensor) -> Tensor:
    """Coefficients (B, C, Y, X) float64 of images (B, C, Y, X)."""
    down, across = (basis(size, x.device) for size in x.shape[2:])
    return down @ x.double() @ across.T


def inverse(coefficients: Tensor) -> Tensor:
    """Images (B, C, Y, X) float64 of coefficients."""
    down, across = (basis(size, coefficients.device) for size in coefficients.shape[2:])
    return down.T @ coefficients @ across


@lru_cache(maxsize=16)
def basis(size: int, device: torch.device) -> Tensor:
    """The orthonormal DCT-II (size, size): a row a frequency."""
    places = torch.arange(size, device=device, dtype=torch.float64)
    waves = torch.cos(torch.pi / size * places[:, None] * (places + 0.5)) * (2 / size) ** 0.5
    waves[0] /= 2**0.5
    return waves


def cutoff_of(height: int, width: int) -> int:
    """The paper's share of the shorter side, at least 1."""
    return max(1, round(min(height, width) / SHARE))


@lru_cache(maxsize=64)
def mask(height: int, width: int, band: Band, cutoff: int, device: torch.device | None = None) -> Tensor:
    """Which coefficients (Y, X) a band holds."""
    down, across = (torch.arange(size, device=device) < cutoff for size in (height, width))
    if band == "mixed":
        return down[:, None] != across
    return down[:, None] & across if band == "low" else ~(down[:, None] | across)


def part(d: Tensor, band: Band, cutoff: int) -> Tensor:
    """What a band holds of differences or images d (B, C, Y, X), in their number format."""
    sizes = dims("B C Y X", d=d)
    kept = mask(sizes["Y"], sizes["X"], band, cutoff, d.device)
    return inverse(dct(d) * kept).to(d.dtype)


def shares(d: Tensor, cutoff: int) -> dict[Band, Tensor]:
    """The share of each band in the energy of differences d (B, C, Y, X): float64 (B,), NaN where d is zero."""
    energy = (dct(d) ** 2).sum(1)
    whole = energy.sum((1, 2))
    sizes = d.shape[2], d.shape[3]
    return {band: (energy * mask(*sizes, band, cutoff, d.device)).sum((1, 2)) / whole for band in BANDS}


def radial(d: Tensor, rings: int | None = None) -> Tensor:
    """The mean energy of a coefficient in each ring of the plane, normalised to a sum of 1, float64 (B, rings); NaN
    where d (B, C, Y, X) is zero.

    The rings are equally wide in sqrt((u / Y)^2 + (v / X)^2), from the centre to the corner; by default there are as
    many as the shorter side has pixels. White noise has the same energy in each.
    """
    sizes = dims("B C Y X", d=d)
    rings = rings or min(sizes["Y"], sizes["X"])
    down, across = (torch.arange(sizes[axis], dtype=torch.float64, device=d.device) / sizes[axis] for axis in "YX")
    radius = (down[:, None] ** 2 + across**2).sqrt()
    ring = (radius / 2**0.5 * rings + ROUNDING).long().clamp_max(rings - 1).flatten()
    energy = (dct(d) ** 2).mean(1).flatten(1)
    sums = torch.zeros(len(d), rings, dtype=torch.float64, device=d.device).index_add_(1, ring, energy)
    means = sums / torch.bincount(ring, minlength=rings).clamp_min(1)
    return means / means.sum(1, keepdim=True)


def right_with(oracle: Oracle, x: Tensor, y: Tensor, d: Tensor, cutoff: int, *, lanes: int) -> dict[str, Tensor]:
    """Which images (N,) the model has right when a band of a perturbation d (N, C, Y, X) is all that is added (`low`,
    `mixed`, `high`), or all that is left out (`without low`, …), or with the whole of it (`all`); pixels are clipped to
    [0, 1] after that, as in the paper."""
    found = {"all": right(oracle, boxed(x + d), y, lanes=lanes)}
    for band in BANDS:
        piece = part(d, band, cutoff)
        found[band] = right(oracle, boxed(x + piece), y, lanes=lanes)
        found[f"without {band}"] = right(oracle, boxed(x + d - piece), y, lanes=lanes)
    return found


def right_without(oracle: Oracle, x: Tensor, y: Tensor, cutoff: int, *, lanes: int) -> dict[Band, Tensor]:
    """Which images (N,) the model has right when a band of the image itself is taken away; its mean stays."""
    mean = x.mean((2, 3), keepdim=True)
    return {band: right(oracle, boxed(x - part(x - mean, band, cutoff)), y, lanes=lanes) for band in BANDS}


def right(oracle: Oracle, x: Tensor, y: Tensor, *, lanes: int) -> Tensor:
    """Which images x (N, C, Y, X) the model gives their labels y (N,)."""
    return torch.cat([oracle.logits(some).argmax(1) for some in x.split(lanes)]) == y
