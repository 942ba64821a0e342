"""Attention whose backward can itself be differentiated, with the memory of flash attention: no weights are kept.

Losses on gradients (KDIGA, arXiv 2110.12072) need ∂²/∂x² of attention, which no fast attention of torch has. Both
backward passes are written out here; each recomputes the weights P = exp(S - lse) from q, k and the stored lse, a block
of queries at a time. With S = scale·q kᵀ + mask, O = P v and the cotangent o' of O:

    dP = o' vᵀ    δ = rowsum(P∘dP) = rowsum(o'∘O)    dS = P∘(dP - δ)
    dq = scale·dS k    dk = scale·dSᵀ q    dv = Pᵀ o'                                                    (first)

The second pass gets cotangents a, b, c of dq, dk, dv. Let U = scale·(a kᵀ + q bᵀ), the change of S along (a, b),
ū = rowsum(P∘U) and W = o' cᵀ. Then <a, dq> + <b, dk> + <c, dv> = sum P∘(dP∘(U - ū) + W), and differentiating it gives

    R = P∘(U - ū)    G = dP∘(U - ū) - δ U + W    Z = P∘(G - rowsum(P∘G))
    to o': R v + P c    to v: Rᵀ o'    to q: scale·(dS b + Z k)    to k: scale·(dSᵀ a + Zᵀ q)             (second)
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from vlmkit.core.ops.attention import fold, scores, unfold, visible
from vlmkit.core.shapes import dims

BLOCK = 1 << 20  # weights that exist at a time: 4 MiB in float32, which a cache holds


def attend_twice(
    q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, causal: bool = False, scale: float
) -> Tensor:
    """Twice differentiable attention (B, H, S, D) from q (B, H, S, D) to k, v (B, K, T, D); masks as in `attend`."""
    dims("B H S D, B K T D", q=q, k=k)
    if mask is not None and mask.requires_grad:
        raise ValueError("attend_twice does not differentiate its mask")
    if torch.is_autocast_enabled(q.device.type):  # the backward runs outside of autocast, and wants one number format
        low = torch.get_autocast_dtype(q.device.type)
        q, k, v = q.to(low), k.to(low), v.to(low)
    return _Attention.apply(q, k, v, visible(mask, q, k, causal=causal), scale)


class _Context(Protocol):
    """What torch hands to a function for its backward."""

    scale: float
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for the backward."""


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
        """Attention; keeps q, k, v, the result and the log-sum of exponentials."""
        out = q.new_empty(*q.shape[:3], v.shape[-1])
        lse = torch.empty(*q.shape[:3], 1, dtype=torch.promote_types(q.dtype, torch.float32), device=q.device)
        for rows in _blocks(q, k):
            block = scores(q[:, :, rows], k, mask=_rows(mask, rows), scale=scale)
            lse[:, :, rows] = block.logsumexp(dim=-1, keepdim=True)
            weights = (block - _finite(lse[:, :, rows])).exp_().to(q.dtype)
            out[:, :, rows] = unfold(fold(weights, k) @ v, weights)
        ctx.save_for_backward(q, k, v, out, lse, mask)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The first pass."""
        q, k, v, out, lse, mask = ctx.saved_tensors
        return *_Backward.apply(q, k, v, grad, out.detach(), lse, mask, ctx.scale), None, None


class _Backward(torch.autograd.Function):
    """The first pass as a function of q, k, v and the cotangent; out and lse follow from q, k, v and only save work."""

    @staticmethod
    def forward(
        ctx: _Context,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        grad: Tensor,
        out: Tensor,
        lse: Tensor,
        mask: Tensor | None,
        scale: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The first pass: dq, dk, dv."""
        wide = lse.dtype
        dq, dk, dv = q.new_empty(q.shape), k.new_zeros(k.shape, dtype=wide), v.new_zeros(v.shape, dtype=wide)
        for rows in _blocks(q, k):
            q_, grad_ = q[:, :, rows], grad[:, :, rows]
            weights, d_weights, delta = _first(
                q_, k, v, grad_, out[:, :, rows], lse[:, :, rows], _rows(mask, rows), scale
            )
            d_scores = fold((weights * (d_weights - delta) * scale).to(q.dtype), k)
            dq[:, :, rows] = unfold(d_scores @ k, q_)
            dk += d_scores.transpose(-1, -2) @ fold(q_, k)
            dv += fold(weights.to(q.dtype), k).transpose(-1, -2) @ fold(grad_, k)
        ctx.save_for_backward(q, k, v, grad, out, lse, mask)
        ctx.scale = scale
        return dq, dk.to(k.dtype), dv.to(v.dtype)

    @staticmethod
    def backward(ctx: _Context, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor | None, ...]:
        """The second pass, from the cotangents a, b, c of dq, dk, dv."""
        if torch.is_grad_enabled():  # torch's once_differentiable would let a part of the third derivative through
            raise RuntimeError(
                "this attention is twice differentiable, not more: use plain attention, or create_graph=False"
            )
        q, k, v, grad, out, lse, mask = ctx.saved_tensors
        scale, wide, kind = ctx.scale, lse.dtype, q.dtype
        to_q, to_grad = q.new_empty(q.shape), grad.new_empty(grad.shape)
        to_k, to_v = k.new_zeros(k.shape, dtype=wide), v.new_zeros(v.shape, dtype=wide)
        for rows in _blocks(q, k):
            q_, a_, grad_ = q[:, :, rows], a[:, :, rows], grad[:, :, rows]
            weights, d_weights, delta = _first(
                q_, k, v, grad_, out[:, :, rows], lse[:, :, rows], _rows(mask, rows), scale
            )
            change = (_product(a_, k) + _product(q_, b)).to(wide) * scale  # U
            centred = change - (weights * change).sum(dim=-1, keepdim=True)  # U - ū
            g = d_weights * centred - delta * change + _product(grad_, c).to(wide)
            z = fold((weights * (g - (weights * g).sum(dim=-1, keepdim=True)) * scale).to(kind), k)
            r = fold((weights * centred).to(kind), k)
            d_scores = fold((weights * (d_weights - delta) * scale).to(kind), k)
            to_grad[:, :, rows] = unfold(r @ v + fold(weights.to(kind), k) @ c, grad_)
            to_q[:, :, rows] = unfold(d_scores @ b + z @ k, q_)
            to_k += d_scores.transpose(-1, -2) @ fold(a_, k) + z.transpose(-1, -2) @ fold(q_, k)
            to_v += r.transpose(-1, -2) @ fold(grad_, k)
        return to_q, to_k.to(k.dtype), to_v.to(v.dtype), to_grad, None, None, None, None


def _first(
    q: Tensor, k: Tensor, v: Tensor, grad: Tensor, out: Tensor, lse: Tensor, mask: Tensor | None, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """P, dP (B, H, S, T) and δ (B, H, S, 1) of a block of queries."""
    weights = (scores(q, k, mask=mask, scale=scale) - _finite(lse)).exp_()
    delta = (grad.to(lse.dtype) * out.to(lse.dtype)).sum(dim=-1, keepdim=True)
    return weights, _product(grad, v).to(lse.dtype), delta


def _product(rows: Tensor, columns: Tensor) -> Tensor:
    """(B, H, S, D) times the transpose of (B, K, T, D), head by head: (B, H, S, T)."""
    return unfold(fold(rows, columns) @ columns.transpose(-1, -2), rows)


def _finite(lse: Tensor) -> Tensor:
    return lse.masked_fill(lse == -torch.inf, 0.0)  # a query that sees nothing: its weights become exp(-inf) = 0


def _rows(mask: Tensor | None, rows: slice) -> Tensor | None:
    return mask if mask is None or mask.shape[-2] == 1 else mask[..., rows, :]


def _blocks(q: Tensor, k: Tensor) -> Iterator[slice]:
    step = max(1, BLOCK // (q.shape[0] * q.shape[1] * k.shape[2]))
    return (slice(start, min(start + step, q.shape[2])) for start in range(0, q.shape[2], step))
