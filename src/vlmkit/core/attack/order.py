"""Which classes to aim at first: those whose boundary is nearest, not those whose logit is largest (MALT: Melamed et
al. 2024, "MALT powers up adversarial attacks").

On a scale that matters for attacks models are almost linear, so the distance to the boundary of a class c is about
(z_y - z_c) / |grad (z_y - z_c)|, in the norm dual to the ball's.
"""

import torch
from torch import Tensor

from vlmkit.core.attack.balls import BALLS, Ball
from vlmkit.core.attack.losses import at
from vlmkit.core.attack.oracle import Oracle

DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}
MOST = 9  # classes that are looked at, the likeliest ones
TINY = 1e-12


def nearest_first(oracle: Oracle, x: Tensor, y: Tensor, order: Tensor, ball: Ball, *, lanes: int) -> Tensor:
    """The first MOST wrong classes of `order` (N, K) sorted by the distance to their boundaries, the nearest first, and
    the others after them as they were. One forward pass and up to MOST backward ones an image x (N, C, Y, X)."""
    found = order.clone()
    for rows in torch.arange(len(x), device=x.device).split(lanes):
        classes = order[rows, :MOST]
        ranked = distances(oracle, x[rows], y[rows], classes, ball).argsort(dim=1, stable=True)
        found[rows, : classes.shape[1]] = classes.gather(1, ranked)
    return found


def distances(oracle: Oracle, x: Tensor, y: Tensor, classes: Tensor, ball: Ball) -> Tensor:
    """About how far the boundaries of classes (B, K) are from images x (B, C, Y, X) of classes y (B,), as (B, K)."""
    gaps, gradients = oracle.slopes(x, lambda logits: [at(logits, y) - at(logits, one) for one in classes.unbind(1)])
    dual = BALLS[DUAL[ball.name]]
    return torch.stack(
        [gap / dual.size(slope).clamp_min(TINY) for gap, slope in zip(gaps, gradients, strict=True)], dim=1
    )
