"""Our attentions by name, for any model that goes through transformers' AttentionInterface, and how to switch to one.

Every name has a mask function under the same name: without it transformers hands over no mask, and padding is attended.
The contract: q (B, H, S, D), k and v (B, K, T, D) un-repeated, a mask, a scale; the result is (B, S, H, D).

- `vlmkit_plain`: plain torch; differentiable any number of times, keeps all weights.
- `vlmkit_record`: the same, and hands the weights of each layer to whoever records (`recorded`).
- `vlmkit_twice`: twice differentiable with the memory of flash attention.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.masking_utils import sdpa_mask

from vlmkit.core.errors import InputError, nearest
from vlmkit.core.ops.attention import attend
from vlmkit.core.ops.attention_twice import attend_twice

Maps = dict[str, list[Tensor]]  # module name -> the weights (B, H, S, T) of each call, first call first
UNSUPPORTED = ("softcap", "s_aux", "position_bias", "cache")  # arguments that would change the result
_recorder: ContextVar[tuple[dict[int, str], Maps] | None] = ContextVar("recorder", default=None)


def plain_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **kwargs: object,
) -> tuple[Tensor, Tensor]:
    """Plain attention: the result (B, S, H, D) and its weights (B, H, S, T)."""
    _refuse(module, kwargs)
    scale, causal = _scale(query, scaling), _causal(module, query, attention_mask, is_causal)
    out, weights = attend(query, key, value, mask=attention_mask, causal=causal, scale=scale, dropout=dropout)
    return out.transpose(1, 2).contiguous(), weights


def record_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **kwargs: object,
) -> tuple[Tensor, Tensor]:
    """Plain attention that hands its weights, gradient included, to the `recorded` block around it, if there is one."""
    out, weights = plain_attention(
        module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, is_causal=is_causal, **kwargs
    )
    if (recorder := _recorder.get()) is not None:
        names, maps = recorder
        if id(module) in names:
            maps.setdefault(names[id(module)], []).append(weights)
    return out, weights


def twice_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """Twice differentiable attention (B, S, H, D) that keeps no weights."""
    _refuse(module, kwargs)
    if dropout:
        raise InputError(
            f"vlmkit_twice has no dropout, but {type(module).__name__} asks for {dropout:g}",
            where="attention dropout",
            fix="set the model's attention dropout to 0, or use vlmkit_plain",
        )
    scale, causal = _scale(query, scaling), _causal(module, query, attention_mask, is_causal)
    out = attend_twice(query, key, value, mask=attention_mask, causal=causal, scale=scale)
    return out.transpose(1, 2).contiguous(), None


IMPLEMENTATIONS: dict[str, tuple[Callable, Callable]] = {  # name -> (attention, mask)
    "vlmkit_plain": (plain_attention, sdpa_mask),
    "vlmkit_record": (record_attention, sdpa_mask),
    "vlmkit_twice": (twice_attention, sdpa_mask),
}


@contextmanager
def using_attention(model: PreTrainedModel, name: str) -> Iterator[None]:
    """Let all attention of a model, and of the models in it, go through the implementation of this name for a while."""
    from vlmkit.core.models.register import register

    register()
    configs = {id(part.config): part.config for part in model.modules() if isinstance(part, PreTrainedModel)}
    before = [(config, config._attn_implementation) for config in configs.values()]
    set_attention(model, name)
    try:
        yield
    finally:
        for config, previous in before:
            config._attn_implementation = previous


@contextmanager
def recorded(model: PreTrainedModel) -> Iterator[Maps]:
    """Record the attention weights of every layer, by the name of its attention module, while the block runs.

        with recorded(model) as maps:
            model(**batch)
        maps["model.layers.0.self_attn"][0]  # (B, H, S, T) of the first call

    The weights carry their gradient unless the block runs under `torch.no_grad()`.
    """
    maps: Maps = {}
    names = {id(module): name for name, module in model.named_modules()}
    with using_attention(model, "vlmkit_record"):
        token = _recorder.set((names, maps))
        try:
            yield maps
        finally:
            _recorder.reset(token)


def set_attention(model: PreTrainedModel, name: str) -> None:
    """Switch a model to the attention of this name, for good.

    Raises:
        InputError: the name is unknown, or the model does not go through transformers' attention interface.
    """
    try:
        model.set_attn_implementation(name)
    except (ValueError, ImportError) as error:
        known = ("eager", "sdpa", *IMPLEMENTATIONS)
        raise InputError(
            f"attention '{name}' cannot be used: {error}", where=type(model).__name__, fix=nearest(name, known)
        ) from error
    if model.config._attn_implementation != name:
        raise InputError(
            f"{type(model).__name__} does not let its attention be replaced",
            where=f"attention '{name}'",
            fix="use a model that goes through transformers' AttentionInterface",
        )


def _refuse(module: nn.Module, kwargs: dict[str, object]) -> None:
    for name in UNSUPPORTED:
        if kwargs.get(name) is not None:
            raise InputError(
                f"{type(module).__name__} passes '{name}', which this attention does not know",
                where="attention of this model",
                fix="use the attention `eager` for this model",
            )


def _scale(query: Tensor, scaling: float | None) -> float:
    return query.shape[-1] ** -0.5 if scaling is None else scaling


def _causal(module: nn.Module, query: Tensor, mask: Tensor | None, is_causal: bool | None) -> bool:
    """Whether a missing mask stands for the causal one; a single query of a decoding step sees all keys."""
    wanted = bool(getattr(module, "is_causal", True)) if is_causal is None else is_causal
    return wanted and mask is None and query.shape[2] > 1
