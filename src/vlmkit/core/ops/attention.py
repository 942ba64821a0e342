"""Softmax attention on un-repeated keys and values, in plain torch.

Query heads (B, H, S, D) share key heads (B, K, T, D) in consecutive groups of H/K. `fold` puts the queries of one group
behind one another, (B, K, (H/K)·S, D), so that every product is one batched matrix product and no key is copied.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vlmkit.core.shapes import dims

HUGE = 3e38  # nearly the largest float32: a softmax over nothing but such scores is finite, and so is its gradient


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
    scale: float,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Attention from q (B, H, S, D) to k, v (B, K, T, D): the result (B, H, S, D) and its weights (B, H, S, T).

    The mask broadcasts to (B, H, S, T): true where a query sees a key, or a number added to the score. `causal` lets
    query i see keys 0..i. A query whose mask is false throughout yields zero. `dropout` is the share of weights that is
    dropped.
    """
    dims("B H S D, B K T D", q=q, k=k)
    mask = visible(mask, q, k, causal=causal)
    weights = scores(q, k, mask=mask, scale=scale, hidden=-HUGE).softmax(dim=-1)
    if mask is not None and mask.dtype == torch.bool:
        weights = weights.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
    weights = (F.dropout(weights, dropout) if dropout else weights).to(q.dtype)
    return unfold(fold(weights, k) @ v, q), weights


def scores(q: Tensor, k: Tensor, *, mask: Tensor | None, scale: float, hidden: float = -torch.inf) -> Tensor:
    """Masked scores (B, H, S, T) of queries (B, H, S, D) and keys (B, K, T, D), in at least float32.

    Where a boolean mask is false the score is `hidden`; other masks are added.
    """
    raw = unfold(fold(q, k) @ k.transpose(-1, -2), q)
    raw = raw.to(torch.promote_types(raw.dtype, torch.float32)) * scale
    if mask is None:
        return raw
    return raw.masked_fill(~mask, hidden) if mask.dtype == torch.bool else raw + mask


def visible(mask: Tensor | None, q: Tensor, k: Tensor, *, causal: bool) -> Tensor | None:
    """The mask of an attention: the given one, cut to the keys there are, or the causal one (S, T) if asked for."""
    if mask is not None:
        return mask[..., : k.shape[-2]]
    if not causal:
        return None
    rows, columns = (torch.arange(n, device=q.device) for n in (q.shape[-2], k.shape[-2]))
    return columns <= rows[:, None]


def fold(x: Tensor, k: Tensor) -> Tensor:
    """(B, H, S, …) to (B, K, (H/K)·S, …): the rows of the query heads that share a key head, one after another."""
    return x.reshape(x.shape[0], k.shape[1], -1, x.shape[-1])


def unfold(x: Tensor, q: Tensor) -> Tensor:
    """(B, K, (H/K)·S, …) back to (B, H, S, …) of the queries q."""
    return x.reshape(*q.shape[:3], x.shape[-1])
