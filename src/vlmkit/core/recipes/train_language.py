"""Training a causal language model on a corpus, as every process of a run does it: load, fit, measure, save."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from vlmkit.core.configs.pretrain import EPOCHS, MULTIPLIER, PretrainConfig
from vlmkit.core.io.progress import log
from vlmkit.core.io.tables import write_table
from vlmkit.core.io.tokens import TokenSet
from vlmkit.core.models.load import load_causal_lm, resolve_device, resolve_dtype, save_model
from vlmkit.core.models.presets import build_causal_lm, count_parameters
from vlmkit.core.models.tokenizers import load_tokenizer
from vlmkit.core.train.budget import seq_len_of, token_budget, utilisation, warmup_steps
from vlmkit.core.train.checkpoint import Checkpoints, gather_weights, load_weights, save_state
from vlmkit.core.train.corpus import Corpus
from vlmkit.core.train.data import Stream, TokenBatches, Windows, split, whole
from vlmkit.core.train.loop import Run, fit, log_table, measure
from vlmkit.core.train.losses import next_token
from vlmkit.core.train.optim import adamw
from vlmkit.core.train.parallel import Ranks
from vlmkit.core.train.schedule import Schedule, constant, cooldown, cosine

COOLDOWN = 0.2  # of the run, where --cooldown does not say otherwise
VALIDATION_TOKENS = 8192  # a forward pass, whatever the batch of training


@dataclass(frozen=True)
class Task:
    """What every process of a run has to know; `lineage` are the digests of what the model is made from."""

    config: PretrainConfig
    corpus: Corpus
    digest: str
    lineage: dict[str, str]
    folder: Path
    state: Path


def train(task: Task, ranks: Ranks) -> dict[str, object]:
    """The work of one process: a model trained, its loss on every set, and (by the first) the files of the run."""
    config, recipe = task.config, task.config.recipe
    device = ranks.device or resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, device)
    model = new_model(task)
    nn.Module.to(model, device, torch.float64 if dtype == torch.float64 else torch.float32)
    seq_len = seq_len_of(model, config.seq_len, recipe.seq_len)
    data, val = streams(task)
    batches = get_batches(config, data, params=count_parameters(model), seq_len=seq_len)
    moments: dict[str, Any] = {"betas": (config.beta1, config.beta2), "eps": config.eps}
    run = fit(
        model,
        batches,
        next_token(model, z_weight=recipe.z_loss),
        optim=partial(adamw, rules=[(".*", recipe.lr)], weight_decay=recipe.weight_decay, **moments),
        schedule=get_schedule(config, len(batches)),
        clip=config.clip or None,
        micro_batch_size=config.micro_batch_size,
        autocast=dtype if dtype == torch.bfloat16 else None,
        seed=config.seed,
        checkpoints=Checkpoints(task.state / "checkpoints", every=config.checkpoint_every),
        ranks=ranks,
    )
    rows = max(1, VALIDATION_TOKENS // seq_len)
    sets = {name: Windows(part, seq_len=seq_len, rows=rows) for name, part in val.items()}
    losses = {name: measure(run, windows)["cross_entropy"] for name, windows in sets.items()}
    return save(task, run, batches, losses)


def new_model(task: Task) -> PreTrainedModel:
    """The model at the start of the run, on the CPU."""
    config = task.config
    if config.init is not None:
        return load_causal_lm(config.init, dtype=torch.float32)
    return build_causal_lm(
        config.arch, config.size, vocab_size=task.corpus.vocab_size, seed=config.seed, seq_len=config.recipe.seq_len
    )


def streams(task: Task) -> tuple[Stream, dict[str, Stream]]:
    """What to train on, and what to measure the loss on: the named sets, and held-out documents if there are any."""
    config = task.config
    sets = [TokenSet(path) for path in task.corpus.data]
    val = {name: whole([TokenSet(path)]) for name, path in task.corpus.val.items()}
    if not config.held:
        return whole(sets), val
    data, held = split(sets, fraction=config.held, seed=config.seed)
    return data, val | {"heldout": held}


def get_batches(config: PretrainConfig, data: Stream, *, params: int, seq_len: int) -> TokenBatches:
    """Batches up to the token budget; several passes over the data are said aloud."""
    tokens = token_budget(
        params, len(data), tokens=config.tokens, multiplier=config.multiplier, default=MULTIPLIER, epochs=EPOCHS
    )
    batches = TokenBatches(data, seq_len=seq_len, batch_size=config.recipe.batch_size, tokens=tokens, seed=config.seed)
    if batches.epochs > 1:
        log.warning(f"{tokens:,} tokens are {batches.epochs:.3g} passes over the {len(data):,} of the training data")
    return batches


def get_schedule(config: PretrainConfig, steps: int) -> Schedule:
    """The learning rate that the config names."""
    warmup = warmup_steps(config.warmup, config.recipe.warmup, steps)
    if config.schedule == "constant":
        return constant(warmup=warmup)
    if config.schedule == "cooldown":
        part = COOLDOWN if config.cooldown is None else config.cooldown
        return cooldown(steps, warmup=warmup, end=config.end_lr, cooldown_steps=round(part * steps))
    return cosine(steps, warmup=warmup, end=config.end_lr)


def save(task: Task, run: Run, batches: TokenBatches, losses: dict[str, float]) -> dict[str, object]:
    """Write model, row, log and state; give the keys of the report."""
    config, weights = task.config, gather_weights(run.model)
    save_state(task.folder / "state", run)
    assert isinstance(run.model, PreTrainedModel)
    params = count_parameters(run.model)
    flops = 6.0 * params * run.tokens
    arch = Path(config.arch).stem if config.init is None else "init"
    name = config.name or f"{arch}-{config.size}-{run.tokens}-{task.digest[:8]}"
    if run.ranks.first:
        model = run.model if run.ranks.alone else new_model(task)
        if not run.ranks.alone:
            nn.Module.to(model, run.model.dtype)
            load_weights(model, weights)
        save_model(model, task.folder / "model", tokenizer=load_tokenizer(task.corpus.tokenizer), lineage=task.lineage)
        row: dict[str, object] = {"name": name, "dataset": config.dataset_name, "N": float(params)}
        row |= {"D": float(run.tokens)}
        row |= {"M": run.tokens / params, "target_multiplier": config.multiplier or run.tokens / params, "C": flops}
        row |= {f"loss_{key}": value for key, value in losses.items()}
        write_table(task.folder / "run.parquet", [row], kind="runs")
        write_table(task.folder / "metrics.parquet", log_table(run), kind="metrics")
    return {
        "params": params, "tokens": run.tokens, "multiplier": run.tokens / params, "flops": flops,
        "loss": next(iter(losses.values()), None), "losses": losses,
        "tokens_per_second": run.tokens / run.wall_s,
        "mfu": utilisation(flops, run.wall_s, run.device, run.ranks.world),
        "name": name, "steps": run.num_steps, "epochs": batches.epochs,
    }  # fmt: skip
