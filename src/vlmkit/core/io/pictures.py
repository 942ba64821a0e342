"""Labelled images from what people have: a table, folders of classes, idx files (MNIST's), npz.

A source knows its labels before any image is decoded, so the choice comes first, and only the images that were chosen
are ever in memory. Pixels come out in [0, 1]; nothing is rescaled by guess: floats outside are refused, and the error
says what they probably are.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.io.class_names import class_number
from vlmkit.core.io.picture_sources import SOURCES, open_source
from vlmkit.core.io.progress import log

ROUNDING = 1e-6  # how far above 1 a float may lie that was 1 before it was stored


@dataclass(frozen=True)
class Pictures:
    """N labelled images.

    Attributes:
        ids: their names.
        pixels: arrays (C, Y, X) float32 in [0, 1]; sizes may differ.
        labels: (N,) int64, from 0.
        names: the names of the classes by label, where the source has them.
    """

    ids: list[str]
    pixels: list[np.ndarray]
    labels: np.ndarray
    names: list[str] | None


def read_pictures(
    path: Path, *, count: int | None = None, labels: list[str] | None = None, seed: int | None = None
) -> Pictures:
    """Read labelled images.

    Args:
        path: a table of kind images (file or folder), a folder of class folders, an idx file or the folder around it,
            an npz file.
        count: how many; None for all. Fewer are taken, with a warning, where there are not as many.
        labels: the model's own names of its classes, in its order; a source's classes are matched to them by name.
        seed: shuffles before `count` are taken; None keeps the order.

    Raises:
        InputError: there are no labelled images, or something is wrong with one that was chosen.
    """
    if count is not None and count < 1:
        raise InputError(f"{count} images", where="--n", fix="1 or more")
    source = open_source(path, labels)
    total = len(source.ids)
    if not total:
        raise InputError("there are no images", where=str(path), fix=SOURCES)
    if count is not None and count > total:
        log.warning("%s holds %d images, not %d: all are taken", path, total, count)
    order = np.arange(total) if seed is None else np.random.default_rng(seed).permutation(total)
    chosen = [int(place) for place in order[:count]]
    numbers = [class_number(source.labels[place], source.where(place), labels) for place in chosen]
    ascending = sorted(chosen)
    found = {
        place: unit_range(pixels, source.where(place))
        for place, pixels in zip(ascending, source.decode(ascending), strict=True)
    }
    return Pictures(
        [source.ids[place] for place in chosen],
        [found[place] for place in chosen],
        np.array(numbers, dtype=np.int64),
        source.names,
    )


def unit_range(pixels: np.ndarray, where: str) -> np.ndarray:
    """Pixels (C, Y, X) uint8, or float within [0, 1], as float32 in [0, 1]."""
    if pixels.dtype == np.uint8:
        return (pixels / np.float32(255)).astype(np.float32)
    low, high = float(pixels.min()), float(pixels.max())
    if low >= 0 and high <= 1 + ROUNDING:
        return np.minimum(pixels.astype(np.float32), np.float32(1))
    shown = f"pixels go from {low:.4g} to {high:.4g}, not from 0 to 1"
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError("pixels are not finite", where=where, fix="make the file again")
    if low < 0:
        fix = "give them before they are normalised: the model does that by itself"
        raise InputError(f"{shown}: normalised images?", where=where, fix=fix)
    if high <= 255:
        raise InputError(f"{shown}: 0 to 255 stored as float?", where=where, fix="store uint8, or divide by 255")
    raise InputError(shown, where=where, fix="uint8, or floats in [0, 1]")
