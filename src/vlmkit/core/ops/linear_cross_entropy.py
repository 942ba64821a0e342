"""Cross-entropy with z-loss straight from hidden states: logits exist only for a block of rows at a time.

logits = x Wᵀ; loss = mean nll + z · mean lse². The gradient is made on the way forward, block by block, while the
block's logits lie in the cache: dx = p W and dW = Σ pᵀ x with p = (g + 2 z lse / N) softmax − g onehot, g = 1 / counted
rows. These are the same three matrix products as the plain way, without ever holding (N, V) numbers.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from vlmkit.core.shapes import dims
from vlmkit.cuda.cross_entropy import row_nll, row_nll_backward

BLOCK = {"cpu": 1 << 21, "cuda": 1 << 26}  # logits a block: on a CPU 8 MiB, which stay in the cache


def linear_cross_entropy(
    x: Tensor, weight: Tensor, targets: Tensor, *, z_weight: float = 0.0, ignore_index: int = -100
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of the linear classifier `x @ weight.T`: (mean nll + z-loss, mean nll, z-loss), the last two detached.

    Args:
        x: (N, E) hidden states. Under autocast the products are made in its number format, the rest in float32.
        weight: (V, E).
        targets: (N,) int64; rows whose target is `ignore_index` count for the z-loss alone, as in OpenLM.
        z_weight: weight of the mean over all rows of the squared log-sum-exp.
    """
    dims("N E, V E, N", x=x, weight=weight, targets=targets)
    kind = x.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    return Blocks.apply(x, weight, targets, z_weight, ignore_index, dtype)


class Blocks(torch.autograd.Function):
    """The loss and, while at it, its gradient."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        weight: Tensor,
        targets: Tensor,
        z_weight: float,
        ignored: int,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Walk over blocks of rows."""
        wanted = any(ctx.needs_input_grad[:2])  # type: ignore[attr-defined]
        with torch.autocast(x.device.type, enabled=False):
            rows, w = x.to(dtype), weight.to(dtype)
            count = (targets != ignored).sum().clamp(min=1)
            dx = torch.empty_like(rows) if wanted else rows
            dw = torch.zeros_like(weight) if wanted else weight
            size = max(128, BLOCK.get(x.device.type, 1 << 21) // len(weight))
            sums = []
            for xs, ts, dxs in zip(rows.split(size), targets.split(size), dx.split(size), strict=True):
                logits = xs @ w.T
                logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
                nll, lse = row_nll(logits, ts, ignored)
                sums.append(torch.stack([nll.sum(), lse.square().sum()]))
                if wanted:
                    g = (1 / count).to(lse.dtype).expand_as(lse)
                    grad = row_nll_backward(logits, ts, lse, g, lse * (2 * z_weight / len(x)), ignored).to(dtype)
                    torch.mm(grad, w, out=dxs)
                    dw.addmm_(grad.T, xs) if dtype == weight.dtype else dw.add_(grad.T @ xs)
        nll, squares = torch.stack(sums).sum(0) if sums else weight.new_zeros(2)
        mean, z = nll / count, squares * (z_weight / max(len(x), 1))
        ctx.save_for_backward(*([dx.to(x.dtype), dw] if wanted else []))
        ctx.mark_non_differentiable(mean, z)
        return mean + z, mean, z

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad: Tensor, _mean: Tensor, _z: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None, None]:
        """Scale what the way forward has made."""
        dx, dw = ctx.saved_tensors  # type: ignore[attr-defined]
        return dx * grad, dw * grad, None, None, None, None
