"""Rotary position embeddings (RoFormer, arXiv 2104.09864) in the style of GPT-NeoX: the halves of a head are rotated.

Pair i of a head, its components i and i + D/2, turns by the angle position · base^(-2i/D).
"""

import torch
from torch import Tensor

from vlmkit.core.shapes import dims


def angles(positions: Tensor, *, width: int, base: float = 10000.0, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine (B, 1, S, D) for positions (B, S) and heads of width D, computed in at least float32."""
    exact = torch.promote_types(dtype, torch.float32)
    pairs = torch.arange(0, width, 2, device=positions.device).to(exact)
    turns = positions[:, None, :, None].to(exact) * (1.0 / base ** (pairs / width))
    turns = torch.cat((turns, turns), dim=-1)
    return turns.cos().to(dtype), turns.sin().to(dtype)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the pairs of every head of x (B, H, S, D) by the angles whose cosine and sine are (B or 1, 1, S, D)."""
    dims("B H S D, N 1 S D", x=x, cosine=cosine)
    low, high = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-high, low), dim=-1) * sine
