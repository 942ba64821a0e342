"""What the tests of training share: a tiny Llama, a stream of tokens, a way to train."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from vlmkit.core.io.tokens import TokenSet, TokenWriter
from vlmkit.core.train.checkpoint import Checkpoints
from vlmkit.core.train.data import Stream, TokenBatches, whole
from vlmkit.core.train.loop import Run, fit
from vlmkit.core.train.losses import next_token
from vlmkit.core.train.optim import adamw
from vlmkit.core.train.parallel import ALONE, Ranks
from vlmkit.core.train.schedule import cosine

VOCAB = 67


def tiny_llama(*, dropout: float = 0.0, seed: int = 0, **sizes: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    shape = {
        "vocab_size": VOCAB,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
    }
    return LlamaForCausalLM(LlamaConfig(**(shape | sizes), attention_dropout=dropout, attn_implementation="eager"))


def token_set(folder: Path, *, documents: int = 40, length: int = 53, seed: int = 0) -> TokenSet:
    draw = np.random.default_rng(seed)
    with TokenWriter(folder, vocab_size=VOCAB, shard_tokens=500) as writer:
        for _ in range(documents):
            writer.add([*draw.integers(1, VOCAB, length - 1), 0])
    return TokenSet(folder)


def stream(folder: Path, **sizes: int) -> Stream:
    return whole([token_set(folder, **sizes)])


def train(
    data: Stream,
    *,
    model: LlamaForCausalLM | None = None,
    tokens: int = 700,
    seq_len: int = 16,
    batch_size: int = 4,
    seed: int = 0,
    micro: int | None = None,
    hooks: tuple = (),
    folder: Path | None = None,
    every: int = 2,
    ranks: Ranks = ALONE,
    dtype: torch.dtype = torch.float32,
    clip: float | None = 1.0,
) -> Run:
    model = (model or tiny_llama()).to(dtype)
    batches = TokenBatches(data, seq_len=seq_len, batch_size=batch_size, tokens=tokens, seed=seed)
    return fit(
        model,
        batches,
        next_token(model, z_weight=1e-3),
        optim=partial(adamw, rules=[(".*", 1e-2)]),
        schedule=cosine(len(batches), warmup=3, end=1e-4),
        micro_batch_size=micro,
        hooks=hooks,
        seed=seed,
        clip=clip,
        checkpoints=Checkpoints(folder, every=every) if folder else None,
        ranks=ranks,
    )


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in run.model.named_parameters()}


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
