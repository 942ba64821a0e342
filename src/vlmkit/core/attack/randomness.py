"""Random numbers that depend on an image, an attack and a count alone: never on a batch, a device or an order.

The n-th number of a stream is the n-th output of SplitMix64 (Steele et al. 2014) started at the stream's key, so a lane
needs no state but its key and a count.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

GAMMA = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
MIX1, MIX2 = -4658895280553007687, -7723592293110705685  # 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def keys_of(ids: Sequence[str], *, seed: int, what: str) -> Tensor:
    """A key of 64 bits for each image (N,), by its id, the seed and what the numbers are for."""
    digests = (hashlib.blake2b(f"{seed}\0{what}\0{one}".encode(), digest_size=8).digest() for one in ids)
    return torch.tensor([int.from_bytes(one, "little", signed=True) for one in digests], dtype=torch.int64)


def uniform(keys: Tensor, counts: Tensor, shape: Sequence[int]) -> Tensor:
    """Numbers in [0, 1), float32 (B, *shape), of 24 bits each: the block numbered `counts` (B,) of each stream (B,)."""
    size = 1
    for one in shape:
        size *= one
    places = torch.arange(size, device=keys.device, dtype=torch.int64)
    z = keys[:, None] + (counts[:, None] * size + places + 1) * GAMMA
    z = (z ^ shifted(z, 30)) * MIX1
    z = (z ^ shifted(z, 27)) * MIX2
    z = z ^ shifted(z, 31)
    return (shifted(z, 40).to(torch.float32) * 2.0**-24).reshape(len(keys), *shape)


def shifted(z: Tensor, bits: int) -> Tensor:
    """A shift to the right that fills with zeros."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def normal(keys: Tensor, counts: Tensor, shape: Sequence[int]) -> Tensor:
    """Standard normal numbers, float32 (B, *shape)."""
    half = uniform(keys, counts, shape).clamp(2.0**-25, 1 - 2.0**-25).to(torch.float64)
    return torch.erfinv(2 * half - 1).mul(2**0.5).to(torch.float32)


def signs(keys: Tensor, counts: Tensor, shape: Sequence[int]) -> Tensor:
    """-1 or 1, float32 (B, *shape)."""
    return torch.where(uniform(keys, counts, shape) < 0.5, -1.0, 1.0)
