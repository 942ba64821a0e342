"""OpenLM's transformer (github.com/mlfoundations/open_lm) as a transformers model: the architecture of DCLM's runs.

A pre-norm decoder without biases: fused query-key-value projection, layer norm of queries and keys over all heads at
once, rotary positions, SwiGLU with both of its inputs fused, norms with a gain only, and untied embeddings.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, initialization
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation import GenerationMixin
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from vlmkit.core.models.attention import plain_attention
from vlmkit.core.ops.norm import gain_norm
from vlmkit.core.ops.rotary import angles, rotate

FFN_MULTIPLE = 256  # the hidden width of the feed-forward is a multiple of this


class OpenLMConfig(PreTrainedConfig):
    """Sizes and switches of an OpenLM model; `qk_norm` as in all of DCLM's runs."""

    model_type = "open_lm"
    keys_to_ignore_at_inference = ("past_key_values",)

    vocab_size: int = 50432
    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_attention_heads: int = 8
    max_position_embeddings: int = 2048
    norm_eps: float = 1e-5
    qk_norm: bool = True
    rope_theta: float = 10000.0
    use_cache: bool = True
    tie_word_embeddings: bool = False
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None

    @property
    def intermediate_size(self) -> int:
        """Hidden width of the feed-forward: 8/3 of the model's, rounded up to a multiple of 256."""
        return FFN_MULTIPLE * math.ceil(int(8 * self.hidden_size / 3) / FFN_MULTIPLE)

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden_size // self.num_attention_heads


class Linear(nn.Linear):
    """A projection without bias that knows the standard deviation of its first weights."""

    def __init__(self, inputs: int, outputs: int, *, std: float) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.init_std = std


class GainNorm(nn.Module):
    """Layer norm over the last axis with a gain and no bias."""

    def __init__(self, width: int, *, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (…, E)."""
        return gain_norm(x, self.weight, eps=self.eps)


class Attention(nn.Module):
    """Causal attention whose queries and keys are normalised over all heads at once, then rotated."""

    def __init__(self, config: OpenLMConfig, layer_idx: int) -> None:
        super().__init__()
        width, std = config.hidden_size, config.hidden_size**-0.5
        self.config, self.layer_idx = config, layer_idx
        self.head_dim, self.scaling, self.is_causal = config.head_dim, config.head_dim**-0.5, True
        self.in_proj = Linear(width, 3 * width, std=std)
        self.q_norm = GainNorm(width, eps=config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = GainNorm(width, eps=config.norm_eps) if config.qk_norm else nn.Identity()
        self.out_proj = Linear(width, width, std=std / math.sqrt(2 * (layer_idx + 1)))

    def forward(
        self,
        x_BSE: Tensor,
        attention_mask: Tensor | None,
        rotation: tuple[Tensor, Tensor],
        past_key_values: Cache | None = None,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from x (B, S, E) to itself and to what the cache holds."""
        q, k, v = self.in_proj(x_BSE).chunk(3, dim=-1)
        heads = (*x_BSE.shape[:2], -1, self.head_dim)
        q, k, v = (t.view(heads).transpose(1, 2) for t in (self.q_norm(q), self.k_norm(k), v))
        q, k = rotate(q, *rotation).to(v.dtype), rotate(k, *rotation).to(v.dtype)
        if past_key_values is not None:
            k, v = past_key_values.update(k, v, self.layer_idx)
        attend: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, plain_attention)
        out, weights = attend(self, q, k, v, attention_mask, scaling=self.scaling, dropout=0.0, **kwargs)
        return self.out_proj(out.reshape(x_BSE.shape[0], x_BSE.shape[1], -1)), weights


class SwiGLU(nn.Module):
    """The feed-forward: w3(silu(w1 x) · w2 x), with w1 and w2 in one matrix."""

    def __init__(self, config: OpenLMConfig, layer_idx: int) -> None:
        super().__init__()
        width, hidden = config.hidden_size, config.intermediate_size
        self.w12 = Linear(width, 2 * hidden, std=width**-0.5)
        self.w3 = Linear(hidden, width, std=hidden**-0.5 / math.sqrt(2 * (layer_idx + 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Transform each position of x (B, S, E)."""
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class Block(GradientCheckpointingLayer):
    """One layer: attention, then feed-forward, each on the normalised stream and added to it."""

    def __init__(self, config: OpenLMConfig, layer_idx: int) -> None:
        super().__init__()
        self.attention = Attention(config, layer_idx)
        self.feed_forward = SwiGLU(config, layer_idx)
        self.attention_norm = GainNorm(config.hidden_size, eps=config.norm_eps)
        self.ffn_norm = GainNorm(config.hidden_size, eps=config.norm_eps)

    def forward(
        self,
        x: Tensor,
        attention_mask: Tensor | None,
        rotation: tuple[Tensor, Tensor],
        past_key_values: Cache | None = None,
        **kwargs: object,
    ) -> Tensor:
        """Transform the stream x (B, S, E)."""
        out, _ = self.attention(
            self.attention_norm(x), attention_mask, rotation, past_key_values=past_key_values, **kwargs
        )
        x = x + out
        return x + self.feed_forward(self.ffn_norm(x))


class OpenLMPreTrainedModel(PreTrainedModel):
    """What transformers has to know of the models here."""

    config_class = OpenLMConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["Block"]  # noqa: RUF012
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": Block, "attentions": Attention}  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            std = float(getattr(module, "init_std", self.config.hidden_size**-0.5))
            initialization.trunc_normal_(module.weight, std=std, a=-3 * std, b=3 * std)
        elif isinstance(module, GainNorm):
            initialization.ones_(module.weight)


class OpenLMModel(OpenLMPreTrainedModel):
    """The transformer without its output matrix."""

    def __init__(self, config: OpenLMConfig) -> None:
        super().__init__(config)
        self.tok_embeddings: nn.Module = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([Block(config, index) for index in range(config.num_hidden_layers)])
        self.norm = GainNorm(config.hidden_size, eps=config.norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embedding matrix (V, E)."""
        return self.tok_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding matrix."""
        self.tok_embeddings = value

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: object,
    ) -> BaseModelOutputWithPast:
        """Hidden states (B, S, E) of tokens (B, S).

        Positions that start again within a row mark documents packed into it: attention then stays within each of them
        (only without a mask and a cache). Positions that count through the row, the default, let it cross, as OpenLM
        does.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        x = self.tok_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None and not self.training:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = torch.arange(seen, seen + x.shape[1], device=x.device)[None]
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=x,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        rotation = angles(position_ids, width=self.config.head_dim, base=self.config.rope_theta, dtype=x.dtype)
        for layer in self.layers:
            x = layer(x, mask, rotation, past_key_values=past_key_values, position_ids=position_ids, **kwargs)
        return BaseModelOutputWithPast(last_hidden_state=self.norm(x), past_key_values=past_key_values)


class OpenLMForCausalLM(OpenLMPreTrainedModel, GenerationMixin):
    """The language model: logits of the next token at every position."""

    _tied_weights_keys = {"output.weight": "model.tok_embeddings.weight"}  # noqa: RUF012  (only with tie_word_embeddings)

    def __init__(self, config: OpenLMConfig) -> None:
        super().__init__(config)
        self.model = OpenLMModel(config)
        self.output: nn.Module = Linear(config.hidden_size, config.vocab_size, std=config.hidden_size**-0.5)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """The output matrix (V, E)."""
        return self.output

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the output matrix."""
        self.output = value

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: object,
    ) -> CausalLMOutputWithPast:
        """Logits (B, S, V) in float32 (or wider) of tokens (B, S); with labels (B, S) also the mean loss.

        `logits_to_keep` computes the logits of the last so many positions only, or of the positions that it lists.
        """
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.output(outputs.last_hidden_state[:, keep])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def from_open_lm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameters under OpenLM's names (also of a DDP or compiled checkpoint) under those of OpenLMForCausalLM."""
    renamed = {}
    for name, tensor in state.items():
        name = name.removeprefix("module.").removeprefix("_orig_mod.")
        if not name.endswith("pos_embed.inv_freq"):  # a table that follows from the width of a head
            renamed[name if name.startswith("output.") else f"model.{name}"] = tensor
    return renamed


def to_open_lm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameters of OpenLMForCausalLM under OpenLM's own names."""
    return {name.removeprefix("model."): tensor for name, tensor in state.items()}
