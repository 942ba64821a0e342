"""Balls around images, within the box of pixels [0, 1]: sizes, projections, directions of steepest ascent, noise.

Everything works on lanes: images x (B, C, Y, X), each with its own radius eps (B,).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vlmkit.core.attack.randomness import normal, uniform

TINY = 1e-12
BISECTIONS = 50
SHORTER = 1 - 2.0**-22  # what float32 rounds a product of two numbers by, twice


@dataclass(frozen=True)
class Ball:
    """A norm.

    size: of differences d (B, C, Y, X), float (B,).
    project: the nearest point to x within eps of x0 and within the box (for L2 after the norm, so nearly the nearest).
    ascent: a step of size 1 in this norm that raises a loss most, to first order, from its gradient.
    noise: a random point within eps of x0 and the box, from keys (B,) and counts (B,).
    """

    name: str
    size: Callable[[Tensor], Tensor]
    project: Callable[[Tensor, Tensor, Tensor], Tensor]
    ascent: Callable[[Tensor], Tensor]
    noise: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def wide(values: Tensor) -> Tensor:
    """Values of lanes (B,) beside images: (B, 1, 1, 1)."""
    return values.reshape(-1, 1, 1, 1)


def boxed(x: Tensor) -> Tensor:
    """Pixels within [0, 1]."""
    return x.clamp(0, 1)


def moved(x0: Tensor, d: Tensor) -> Tensor:
    """x0 + d within the box, rounded towards x0, so that the change is no larger than d.

    Rounding to the nearest was measured to put up to half of the points of a sphere outside of it.
    """
    x = boxed(x0 + d)
    return torch.where((x - x0).abs() > d.abs(), torch.nextafter(x, x0), x)


def linf_size(d: Tensor) -> Tensor:
    """The largest absolute value."""
    return d.abs().flatten(1).amax(1)


def linf_project(x: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
    """Each pixel by itself."""
    return boxed(torch.minimum(torch.maximum(x, x0 - wide(eps)), x0 + wide(eps)))


def linf_noise(x0: Tensor, eps: Tensor, keys: Tensor, counts: Tensor) -> Tensor:
    """Uniform in the ball."""
    return linf_project(x0 + wide(eps) * (2 * uniform(keys, counts, x0.shape[1:]) - 1), x0, eps)


def l2_size(d: Tensor) -> Tensor:
    """The Euclidean length."""
    return d.flatten(1).norm(dim=1, dtype=torch.float64).to(d.dtype)


def l2_project(x: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
    """Shortened, then cut to the box, which shortens it further."""
    d = x - x0
    size = l2_size(d)
    return moved(x0, d * wide(torch.where(size > eps, SHORTER * eps / size.clamp_min(TINY), 1.0)))


def l2_ascent(gradient: Tensor) -> Tensor:
    """The gradient at length 1; nothing where it is zero."""
    return gradient / wide(l2_size(gradient).clamp_min(TINY))


def l2_noise(x0: Tensor, eps: Tensor, keys: Tensor, counts: Tensor) -> Tensor:
    """In a random direction, on the sphere."""
    return l2_project(x0 + wide(eps) * l2_ascent(normal(keys, counts, x0.shape[1:])), x0, eps)


def l1_size(d: Tensor) -> Tensor:
    """The sum of absolute values."""
    return d.abs().flatten(1).sum(1, dtype=torch.float64).to(d.dtype)


def l1_project(x: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
    """The nearest point of the ball and the box together (Croce and Hein 2021): sign(d) min(max(|d| - t, 0), room) with
    the least t >= 0 of size eps, by bisection."""
    d = x - x0
    room = torch.where(d > 0, 1 - x0, x0)
    low, high = torch.zeros_like(eps), linf_size(d)

    def at(t: Tensor) -> Tensor:
        return torch.minimum((d.abs() - wide(t)).clamp_min(0), room)

    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        too_large = l1_size(at(middle)) > eps
        low, high = torch.where(too_large, middle, low), torch.where(too_large, high, middle)
    inside = l1_size(at(torch.zeros_like(eps))) <= eps
    return moved(x0, d.sign() * at(torch.where(inside, torch.zeros_like(high), high)))


def l1_ascent(gradient: Tensor, *, share: float = 0.05) -> Tensor:
    """The signs of the steepest pixels, a share of all, of sum 1 together."""
    flat = gradient.flatten(1)
    count = max(1, int(share * flat.shape[1]))
    chosen = flat.abs().topk(count, dim=1).indices
    step = torch.zeros_like(flat).scatter_(1, chosen, flat.gather(1, chosen).sign())
    return (step / step.abs().sum(1, keepdim=True).clamp_min(1)).reshape(gradient.shape)


def l1_noise(x0: Tensor, eps: Tensor, keys: Tensor, counts: Tensor) -> Tensor:
    """A random direction, projected."""
    direction = normal(keys, counts, x0.shape[1:])
    return l1_project(x0 + wide(eps) * direction / wide(l1_size(direction).clamp_min(TINY)), x0, eps)


BALLS = {
    "linf": Ball("linf", linf_size, linf_project, torch.sign, linf_noise),
    "l2": Ball("l2", l2_size, l2_project, l2_ascent, l2_noise),
    "l1": Ball("l1", l1_size, l1_project, l1_ascent, l1_noise),
}
