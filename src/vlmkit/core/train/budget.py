"""What a run costs: its tokens, its memory, and how much of the machine it used."""

from pathlib import Path

import torch
from transformers import PreTrainedModel

from vlmkit.core.errors import InputError
from vlmkit.core.io.artifacts import find
from vlmkit.core.models.load import read_config

PEAKS = {  # dense bfloat16 FLOP/s by the name of the GPU (NVIDIA's data sheets), the most specific name first
    "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12,
}  # fmt: skip


def token_budget(
    params: int, available: int, *, tokens: int | None, multiplier: float | None, default: float, epochs: int
) -> int:
    """The tokens to train on: as asked for, else `default` a parameter but at most `epochs` passes over the data."""
    if tokens is not None:
        return tokens
    if multiplier is not None:
        return max(1, round(multiplier * params))
    return max(1, min(round(default * params), epochs * available))


def vocab_of(path: Path, wanted: int | None) -> int:
    """The vocabulary of a model that is trained further.

    Raises:
        InputError: another one is wanted.
    """
    size = int(read_config(find(path, "model")).get_text_config().vocab_size)
    if wanted is not None and wanted != size:
        raise InputError(
            f"the model has a vocabulary of {size:,}", where="--vocab-size", fix="leave it out with --init"
        )
    return size


def seq_len_of(model: PreTrainedModel, wanted: int | None, default: int) -> int:
    """The length of the training sequences: as wanted, else the default, within what the model takes.

    Raises:
        InputError: the model takes no sequences as long as that.
    """
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if wanted is not None and longest is not None and wanted > longest:
        raise InputError(
            f"sequences of {wanted} tokens, but the model takes at most {longest}",
            where="--seq-len",
            fix=f"--seq-len {longest} or less",
        )
    return wanted or min(default, longest or default)


def warmup_steps(wanted: int | None, default: int, steps: int) -> int:
    """Steps of warm-up: as wanted, else the default, but at most 3 tenths of the run.

    DCLM's 411m_1x warms up for 2000 of its 7851 steps.

    Raises:
        InputError: the warm-up is longer than the run.
    """
    if wanted is not None and wanted > steps:
        raise InputError(
            f"a warm-up of {wanted} steps, but the run has {steps}",
            where="--warmup",
            fix=f"--warmup {steps // 10}, or more --tokens",
        )
    return min(default, 3 * steps // 10) if wanted is None else wanted


def memory_bytes(model: PreTrainedModel, *, rows: int, seq_len: int) -> int:
    """An estimate of the memory of training: weights, gradient, two moments, and what the backward pass needs.

    Activations are counted as 30 numbers of float32 a token, layer and unit of width (norms, attention, SwiGLU).
    """
    config = model.config.get_text_config()
    params = sum(p.numel() for p in model.parameters())
    states = 4 * rows * seq_len * (30 * config.num_hidden_layers * config.hidden_size)
    return 16 * params + states + 8 * min(1 << 21, rows * seq_len * config.vocab_size)


def utilisation(flops: float, seconds: float, device: torch.device, processes: int) -> float | None:
    """Model FLOP/s as a fraction of what the GPUs can do at most; None on a CPU or an unknown GPU."""
    if device.type != "cuda" or not seconds:
        return None
    name = torch.cuda.get_device_name(device)
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    return None if peak is None else flops / seconds / peak / processes
