"""Pillow's resampling as products with two matrices, so that gradients pass through it to the pixels.

Pillow resizes along one axis, then along the other, and after each of the two cuts what overshoots [0, 1]; the filter
grows with the scale when an image shrinks. Each pass is linear in the pixels: a matrix (new, old) of filter weights.
Pillow also rounds to 1/255 after each pass; we do not, which is all the difference that is left.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vlmkit.core.shapes import dims

Kernel = Callable[[np.ndarray], np.ndarray]


def resize(pixels: Tensor, size: tuple[int, int], *, resample: int) -> Tensor:
    """Resize pixels (B, C, Y, X) in [0, 1] to a size (Y, X) as Pillow does.

    Args:
        resample: Pillow's number of a filter: 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming.
    """
    dims("B C Y X", pixels=pixels)
    old = (pixels.shape[2], pixels.shape[3])
    for axis in order(resample, old, size):
        along = matrix(resample, old[axis], size[axis], pixels.device, pixels.dtype)
        pixels = torch.matmul(along, pixels) if axis == 0 else torch.matmul(pixels, along.T)
        if resample in OVERSHOOT:
            pixels = pixels.clamp(-SLACK, 1 + SLACK)
    return pixels


@lru_cache(maxsize=1024)
def order(resample: int, old: tuple[int, int], new: tuple[int, int]) -> tuple[int, ...]:
    """Which axes are resized, in the order of the installed Pillow.

    The order matters where a filter overshoots. It was always the width first until Pillow 13, which weighs the sizes;
    so we do not guess, but look at what it makes of an image of noise.
    """
    axes = tuple(axis for axis in (1, 0) if old[axis] != new[axis])
    if len(axes) < 2 or resample not in OVERSHOOT:
        return axes
    noise = np.random.default_rng(0).integers(0, 2, old, dtype=np.uint8) * 255
    asked = np.asarray(Image.fromarray(noise).resize(new[::-1], resample=Image.Resampling(resample))) / 255
    down, across = weights(resample, old[0], new[0]), weights(resample, old[1], new[1])
    first_width = np.clip(down @ np.clip(noise / 255 @ across.T, 0, 1), 0, 1)
    first_height = np.clip(np.clip(down @ (noise / 255), 0, 1) @ across.T, 0, 1)
    return (1, 0) if np.abs(first_width - asked).sum() <= np.abs(first_height - asked).sum() else (0, 1)


@lru_cache(maxsize=64)
def matrix(resample: int, old: int, new: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The weights (new, old) of one pass; each row sums to one."""
    with torch.inference_mode(False):  # a matrix made in inference mode would be of no use to a later gradient
        return torch.from_numpy(weights(resample, old, new)).to(device=device, dtype=dtype)


def weights(resample: int, old: int, new: int) -> np.ndarray:
    """The weights (new, old) of one pass, float64."""
    scale = old / new
    if resample == 0:
        steps = np.cumsum(np.r_[0.5 * scale, np.full(new - 1, scale)])  # it adds up, with the rounding of that
        return np.eye(old)[np.minimum(steps.astype(int), old - 1)]
    centre = (np.arange(new) + 0.5) * scale
    kernel, radius = KERNELS[resample]
    stretch = max(scale, 1.0)
    first = np.maximum(np.trunc(centre - radius * stretch + 0.5), 0)
    stop = np.minimum(np.trunc(centre + radius * stretch + 0.5), old)
    place = np.arange(old)[None, :]
    found = kernel((place - centre[:, None] + 0.5) / stretch)
    found[(place < first[:, None]) | (place >= stop[:, None])] = 0.0
    return found / found.sum(axis=1, keepdims=True)


def box(x: np.ndarray) -> np.ndarray:
    """One within half a pixel."""
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def triangle(x: np.ndarray) -> np.ndarray:
    """1 - |x|."""
    return np.maximum(1 - np.abs(x), 0.0)


def cubic(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Keys' cubic convolution (1981, equation 4), with Pillow's a = -1/2."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def hamming(x: np.ndarray) -> np.ndarray:
    """sinc(x) under a Hamming window one pixel wide on each side."""
    return np.where(np.abs(x) < 1, np.sinc(x) * (0.54 + 0.46 * np.cos(math.pi * x)), 0.0)


def lanczos(x: np.ndarray) -> np.ndarray:
    """sinc(x) sinc(x / 3) within three pixels."""
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


KERNELS: dict[int, tuple[Kernel, float]] = {  # Pillow's number -> (filter, radius in pixels)
    1: (lanczos, 3.0), 2: (triangle, 1.0), 3: (cubic, 2.0), 4: (box, 0.5), 5: (hamming, 1.0),
}  # fmt: skip
OVERSHOOT = (1, 3)  # filters with negative weights
SLACK = 1e-5  # white that rounding put above 1 keeps its gradient; an attack must not lose it
