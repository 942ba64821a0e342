"""Language models by size: OpenLM's published ones and small ones for a laptop, in three architectures or from a file.

N = 10,569,312 (11m), 78,914,048 (79m), 153,677,376 (154m), 411,616,256, 1,439,795,200, 2,795,932,160, 6,889,410,560
with the vocabulary of 50,432: the parameters of Gadre et al. (arXiv 2403.08540) and DCLM (arXiv 2406.11794).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedConfig, PreTrainedModel, Qwen3Config

from vlmkit.core.errors import InputError, nearest
from vlmkit.core.models.load import FAULTS, gist, quiet, read_config
from vlmkit.core.models.open_lm import OpenLMConfig
from vlmkit.core.models.register import register


@dataclass(frozen=True)
class Size:
    """Width, layers and heads of a model, and the length of the sequences that it is trained on."""

    width: int
    num_layers: int
    num_heads: int
    seq_len: int = 2048


SIZES: dict[str, Size] = {
    "nano": Size(32, 2, 2, 256),
    "micro": Size(48, 2, 2, 256),
    "tiny": Size(64, 2, 4, 256),
    "petite": Size(96, 3, 4, 256),
    "mini": Size(128, 4, 4, 256),
    "small": Size(192, 6, 6, 256),
    "medium": Size(256, 8, 8, 256),
    "11m": Size(96, 8, 4),  # open_lm/model_configs/open_lm_11m_v2.json, 79m and 154m likewise
    "79m": Size(512, 8, 4),
    "154m": Size(576, 24, 8),
    "411m": Size(1024, 24, 8),  # dclm/training/open_lm_configs, 1b to 7b likewise
    "1b": Size(2048, 24, 16),
    "3b": Size(2560, 32, 32),
    "7b": Size(4096, 32, 32),
}
PRESETS = ("open_lm", "llama", "qwen3")


def build_causal_lm(
    arch: str, size: str, *, vocab_size: int, seed: int, seq_len: int | None = None, device: str = "cpu"
) -> PreTrainedModel:
    """A new language model in float32 with random weights; the same seed gives the same weights on any device.

    Args:
        arch: open_lm, llama, qwen3, or the path of a transformers configuration (`size` is not used then).
        seq_len: longest sequence, in tokens; None takes the one of the size, or of the file.
        device: where the weights go; `meta` counts parameters without making any.
    """
    register()
    config = causal_lm_config(arch, size, vocab_size=vocab_size, seq_len=seq_len)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        with torch.device("meta" if device == "meta" else "cpu"):
            try:
                model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            except FAULTS as error:
                what = f"'{config.model_type}' makes no causal language model: {gist(error)}"
                raise InputError(
                    what, where=arch, fix="give the configuration of a model that predicts next tokens"
                ) from error
    return model if device == "meta" else model.to(device)


def causal_lm_config(arch: str, size: str, *, vocab_size: int, seq_len: int | None = None) -> PreTrainedConfig:
    """The configuration of a new language model; arguments as in `build_causal_lm`."""
    if arch.endswith(".json"):
        return _from_file(Path(arch), vocab_size=vocab_size, seq_len=seq_len)
    if arch not in PRESETS:
        fix = f"{nearest(arch, PRESETS)}, or a transformers configuration FILE.json"
        raise InputError(f"unknown architecture '{arch}'", where="--arch", fix=fix)
    if size not in SIZES:
        raise InputError(f"unknown size '{size}'", where="--size", fix=nearest(size, SIZES))
    chosen = SIZES[size]
    shape = {
        "vocab_size": vocab_size,
        "hidden_size": chosen.width,
        "num_hidden_layers": chosen.num_layers,
        "num_attention_heads": chosen.num_heads,
        "max_position_embeddings": seq_len or chosen.seq_len,
    }
    openlm = OpenLMConfig.from_dict(shape)
    if arch == "open_lm":
        return openlm
    shape |= {"intermediate_size": openlm.intermediate_size, "head_dim": openlm.head_dim, "tie_word_embeddings": False}
    if arch == "llama":
        return LlamaConfig.from_dict(shape | {"bos_token_id": None, "eos_token_id": None})
    return Qwen3Config.from_dict(shape | {"num_key_value_heads": chosen.num_heads // 2})


def count_parameters(model: PreTrainedModel) -> int:
    """N, the number of parameters, shared ones once, as the scaling papers count it.

    OpenLM's published N, on which the token budgets of DCLM rest, leaves out the gains of the norms of queries and keys
    (2 · layers · width, about one part in ten thousand), although its models have them; so does this count.
    """
    left_out = ("q_norm.weight", "k_norm.weight") if model.config.model_type == OpenLMConfig.model_type else ()
    return sum(p.numel() for name, p in model.named_parameters() if not name.endswith(left_out))


def flops_per_token(model: PreTrainedModel, *, seq_len: int | None = None) -> float:
    """FLOPs of training on one token: 6N and, given `seq_len`, those of attention's scores, 12 · layers · width · S."""
    attention = 0 if seq_len is None else 12 * model.config.num_hidden_layers * model.config.hidden_size * seq_len
    return float(6 * count_parameters(model) + attention)


def _from_file(path: Path, *, vocab_size: int, seq_len: int | None) -> PreTrainedConfig:
    config = read_config(path)
    config.vocab_size = vocab_size
    longest = getattr(config, "max_position_embeddings", None)
    if seq_len and longest and seq_len > longest:
        what = f"sequences of {seq_len} tokens, but the model takes at most {longest}"
        raise InputError(what, where=str(path), fix=f"--seq-len {longest}, or raise max_position_embeddings")
    return config
