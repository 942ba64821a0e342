"""The smallest change of an image, within the box, that brings a linear function to zero: for each of the three norms.

The change d (B, n) of images x (B, n) in [0, 1] with w . d = c for c >= 0 (B,); where the box does not allow it, as
near as the box does. By duality each pixel moves along the sign of w by min(something increasing in t, its room).
"""

import torch
from torch import Tensor

BISECTIONS = 60
TINY = 1e-30


def to_plane(x: Tensor, w: Tensor, c: Tensor, *, norm: str) -> Tensor:
    """The smallest d in a norm."""
    room = torch.where(w > 0, 1 - x, x)
    gain = w.abs()
    if norm == "l1":
        return w.sign() * by_gain(gain, room, c)
    reach = room if norm == "linf" else room / gain.clamp_min(TINY) * (gain > 0)
    low, high = torch.zeros_like(c), reach.amax(1)

    def moved(t: Tensor) -> Tensor:
        return torch.minimum(t[:, None] * (torch.ones_like(gain) if norm == "linf" else gain), room)

    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        enough = (gain * moved(middle)).sum(1) >= c
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return w.sign() * moved(high)


def by_gain(gain: Tensor, room: Tensor, c: Tensor) -> Tensor:
    """In L1: the pixels that gain most, each to the end of its room, the last one in part."""
    order = gain.argsort(1, descending=True)
    sorted_gain, sorted_room = gain.gather(1, order), room.gather(1, order)
    reached = (sorted_gain * sorted_room).cumsum(1)
    missing = c[:, None] - (reached - sorted_gain * sorted_room)
    moved = torch.minimum((missing / sorted_gain.clamp_min(TINY)).clamp_min(0), sorted_room) * (sorted_gain > 0)
    return torch.zeros_like(room).scatter_(1, order, moved)
