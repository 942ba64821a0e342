"""The study of frequencies of Shao et al. 2021 on some images at one radius: an attack, its change cut into bands, and
attacks within a band."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from vlmkit.core.attack.balls import Ball
from vlmkit.core.attack.bands import BANDS, Band, dct, mask, radial, right, right_with, shares
from vlmkit.core.attack.confined import Confined
from vlmkit.core.attack.ends import ends
from vlmkit.core.attack.lanes import Attack
from vlmkit.core.attack.losses import ce
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.shares import mean, share, spread

SHOWN = ("all", *BANDS, *(f"without {band}" for band in BANDS), "pgd-low", "pgd-high")
Parts = Sequence[tuple[np.ndarray, Mapping[str, Tensor]]]


def spectrum(
    oracle: Oracle, x: Tensor, y: Tensor, ids: Sequence[str], attack: Attack, *, eps: float, cutoff: int, lanes: int,
    seed: int,
) -> dict[str, Tensor]:  # fmt: skip
    """What an attack on images x (N, C, Y, X) with labels y (N,) shows of a model.

    Returns:
        change (N, C, Y, X), as the attack leaves it; for each name of `bands.right_with` which images are right (N,);
        energy/low, energy/mixed, energy/high, the shares of the bands (N,); radial (N, rings); plane (N, Y, X), the
        energy of each coefficient, the mean over channels.
    """
    d = ends(attack, oracle, x, y, ids, eps=eps, lanes=lanes, seed=seed).last - x
    found = {f"right/{name}": one for name, one in right_with(oracle, x, y, d, cutoff, lanes=lanes).items()}
    found |= {f"energy/{band}": one for band, one in shares(d, cutoff).items()}
    return found | {"change": d, "radial": radial(d), "plane": (dct(d) ** 2).mean(1).float()}


def confined(
    oracle: Oracle, x: Tensor, y: Tensor, ids: Sequence[str], ball: Ball, *, eps: float, cutoff: int, lanes: int,
    seed: int,
) -> dict[str, Tensor]:  # fmt: skip
    """Which images (N,) an attack within the low, or within the high band leaves right, by its name; any of its points
    counts."""
    found = {}
    for attack in (
        Confined("pgd-low", ball, ce, "low", cutoff=cutoff),
        Confined("pgd-high", ball, ce, "high", cutoff=cutoff),
    ):
        points = ends(attack, oracle, x, y, ids, eps=eps, lanes=lanes, seed=seed).worst
        found[f"right/{attack.name}"] = right(oracle, points, y, lanes=lanes)
    return found


def measured(
    norm: str, clean: np.ndarray, found: Mapping[float, Parts], bare: Parts, cuts: Sequence[int]
) -> dict[str, object]:
    """What was found over all images, from pieces of them: at each radius what `spectrum` and `confined` give, which
    are right without a band of their own (`bare`), which are right as they are (N,), and the cut-off of each."""
    bands, energy, rings = [], [], []
    for eps, parts in found.items():
        head = {"norm": norm, "eps": eps}
        for name in (f"right/{name}" for name in SHOWN if f"right/{name}" in parts[0][1]):
            flags = spread([(group, one[name]) for group, one in parts])
            bands.append({**head, "change": name.removeprefix("right/"), **share(flags)})
        for band in BANDS:
            value = mean(spread([(group, one[f"energy/{band}"]) for group, one in parts]))
            places = float(np.mean([coefficients(one, band, cuts[group[0]]) for group, one in parts]))
            energy.append({**head, "band": band, "share": value, "coefficients": places})
        rings.append({**head, "energy": ring_means(parts)})
    image = [{"without": band, **share(spread([(group, one[band]) for group, one in bare]))} for band in BANDS]
    cutoff = cuts[0] if len(set(cuts)) == 1 else None
    return {
        "clean_accuracy": float(clean.mean()), "n": len(clean), "cutoff": cutoff, "bands": bands, "image": image,
        "energy": energy, "radial": rings,
    }  # fmt: skip


def coefficients(part: Mapping[str, Tensor], band: Band, cutoff: int) -> float:
    """The share of a band in the coefficients: its share in the energy of white noise."""
    height, width = part["plane"].shape[1:]
    return float(mask(height, width, band, cutoff).double().mean())


def ring_means(parts: Parts) -> list[float | None]:
    """The mean over images of the energy in each ring, of the images with as many rings as most have."""
    counts = [one["radial"].shape[1] for _, one in parts]
    usual = max(set(counts), key=counts.count)
    rings = torch.cat([one["radial"] for _, one in parts if one["radial"].shape[1] == usual])
    return [mean(ring) for ring in rings.T.numpy()]
