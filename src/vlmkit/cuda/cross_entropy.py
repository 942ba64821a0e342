"""Cross-entropy with z-loss over rows of logits, fused: probabilities are never stored.

The operation `vlmkit::row_nll` gives each row's negative log-likelihood and log-sum-exp; means and the z-loss are plain
torch on (N,) vectors. Its gradient is one more fused pass. Loss of OpenLM: mean nll + z_weight * mean(lse²).
"""

import ctypes

import torch
from torch import Tensor

from vlmkit.cuda.build import load

SUFFIX = {torch.float32: "f32", torch.bfloat16: "bf16"}


def cross_entropy(
    logits: Tensor, targets: Tensor, *, z_weight: float = 0.0, ignore_index: int = -100
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy plus z-loss, and the mean cross-entropy alone (detached), in nats a token.

    Args:
        logits: (N, V), any floating type; float32 on CPU, float32 and bfloat16 on CUDA run fused.
        targets: (N,) int64 in [0, V); rows whose target is `ignore_index` count for the z-loss alone, as in OpenLM.
        z_weight: weight of the mean over all rows of the squared log-sum-exp.

    Raises:
        IndexError: a target outside [0, V) on the CPU (on CUDA, where looking would stall, its row gives NaN).
    """
    if not logits.is_cuda and len(targets):
        low, high = targets.where(targets != ignore_index, 0).aminmax()
        if low < 0 or high >= logits.shape[1]:
            raise IndexError(f"targets lie in [{low}, {high}], but there are {logits.shape[1]} classes")
    nll, lse = row_nll(logits.contiguous(), targets.contiguous(), ignore_index)
    mean = nll.sum() / (targets != ignore_index).sum().clamp(min=1)
    return (mean + z_weight * lse.square().mean() if z_weight else mean), mean.detach()


def reference(logits: Tensor, targets: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Plain torch: (N, V) logits and (N,) targets to float32 (float64 for float64) nll and lse, (N,) each."""
    wide = logits.double() if logits.dtype == torch.float64 else logits.float()
    lse = torch.logsumexp(wide, dim=1)
    counted = targets != ignore_index
    picked = wide.gather(1, targets.where(counted, 0)[:, None])[:, 0]
    return torch.where(counted, lse - picked, 0.0), lse


def reference_backward(
    logits: Tensor, targets: Tensor, lse: Tensor, grad_nll: Tensor, grad_lse: Tensor, ignore_index: int
) -> Tensor:
    """Plain torch: (g + h) softmax - g onehot, in the type of the logits; g is the gradient of nll, h that of lse."""
    counted = targets != ignore_index
    g = torch.where(counted, grad_nll, 0.0)
    grad = (logits.to(lse.dtype) - lse[:, None]).exp_().mul_((g + grad_lse)[:, None])
    grad.scatter_add_(1, targets.where(counted, 0)[:, None], -g[:, None])
    return grad.to(logits.dtype)


@torch.library.custom_op("vlmkit::row_nll", mutates_args=())
def row_nll(logits: Tensor, targets: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood (0 where ignored) and log-sum-exp of each row: (N, V), (N,) to (N,), (N,)."""
    door = compiled("forward", logits)
    if door is None:
        return reference(logits, targets, ignore_index)
    nll, lse = (torch.empty(len(logits), dtype=torch.float32, device=logits.device) for _ in range(2))
    call(door, logits, (logits, targets), (*logits.shape, ignore_index), (nll, lse))
    return nll, lse


@torch.library.custom_op("vlmkit::row_nll_backward", mutates_args=())
def row_nll_backward(
    logits: Tensor, targets: Tensor, lse: Tensor, grad_nll: Tensor, grad_lse: Tensor, ignore_index: int
) -> Tensor:
    """Gradient of `row_nll` with respect to the logits, (N, V)."""
    door = compiled("backward", logits)
    if door is None:
        return reference_backward(logits, targets, lse, grad_nll, grad_lse, ignore_index)
    grad = torch.empty_like(logits)
    given = (logits, targets, lse, grad_nll.contiguous(), grad_lse.contiguous())
    call(door, logits, given, (*logits.shape, ignore_index), (grad,))
    return grad


@row_nll.register_fake
def _(logits: Tensor, targets: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    kind = torch.float64 if logits.dtype == torch.float64 else torch.float32
    return logits.new_empty(logits.shape[:1], dtype=kind), logits.new_empty(logits.shape[:1], dtype=kind)


@row_nll_backward.register_fake
def _(logits: Tensor, targets: Tensor, lse: Tensor, grad_nll: Tensor, grad_lse: Tensor, ignore_index: int) -> Tensor:
    return torch.empty_like(logits)


def keep(
    ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, Tensor, int], output: tuple[Tensor, Tensor]
) -> None:
    """What the gradient needs: logits, targets and lse, nothing of size (N, V) besides the logits."""
    logits, targets, ctx.ignore_index = inputs  # type: ignore[attr-defined]
    ctx.save_for_backward(logits, targets, output[1])


def differentiate(
    ctx: torch.autograd.function.FunctionCtx, grad_nll: Tensor, grad_lse: Tensor
) -> tuple[Tensor, None, None]:
    """Chain the gradients of nll and lse back to the logits."""
    logits, targets, lse = ctx.saved_tensors  # type: ignore[attr-defined]
    return row_nll_backward(logits, targets, lse, grad_nll, grad_lse, ctx.ignore_index), None, None  # type: ignore[attr-defined]


row_nll.register_autograd(differentiate, setup_context=keep)


def compiled(direction: str, logits: Tensor) -> "ctypes._NamedFuncPointer | None":
    """The compiled door for these logits, or None where plain torch serves."""
    target = logits.device.type
    supported = (torch.float32,) if target == "cpu" else (torch.float32, torch.bfloat16) if target == "cuda" else ()
    if logits.dtype not in supported:
        return None
    library = load("cross_entropy", "cpu" if target == "cpu" else "cuda")
    return None if library is None else getattr(library, f"cross_entropy_{direction}_{SUFFIX[logits.dtype]}")


def call(
    door: "ctypes._NamedFuncPointer",
    like: Tensor,
    given: tuple[Tensor, ...],
    sizes: tuple[int, ...],
    made: tuple[Tensor, ...],
) -> None:
    """Pass raw pointers through the door: inputs, sizes, outputs, then the stream (or the thread count)."""
    last: ctypes.c_void_p | ctypes.c_int64
    if like.is_cuda:
        last = ctypes.c_void_p(torch.cuda.current_stream(like.device).cuda_stream)
    else:
        last = ctypes.c_int64(torch.get_num_threads())
    words = [*map(pointer, given), *map(ctypes.c_int64, sizes), *map(pointer, made), last]
    with torch.cuda.device(like.device) if like.is_cuda else torch.no_grad():
        code = door(*words)
    if code != 0:
        raise RuntimeError(f"the kernel could not be launched (CUDA error {code})")


def pointer(tensor: Tensor) -> ctypes.c_void_p:
    """The address of a tensor's data."""
    return ctypes.c_void_p(tensor.data_ptr())
