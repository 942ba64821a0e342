"""`pretrain`: documents or tokens -> a language model, its loss, and one row for fit-scaling (DCLM's recipe)."""

import math
from pathlib import Path

from vlmkit.core.configs.pretrain import EPOCHS, MULTIPLIER, PretrainConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.artifacts import find, identify, lineage
from vlmkit.core.io.job import Job, Result, open_job, refuse
from vlmkit.core.models.load import resolve_device
from vlmkit.core.models.presets import build_causal_lm, count_parameters
from vlmkit.core.recipes.train_language import Task, train
from vlmkit.core.train.budget import memory_bytes, seq_len_of, token_budget, vocab_of
from vlmkit.core.train.corpus import Sources, open_sources
from vlmkit.core.train.launch import launch
from vlmkit.core.train.parallel import ALONE, Ranks, joined, launched

FILES = ["model/", "run.parquet", "metrics.parquet", "state/"]


def run(config: PretrainConfig) -> Result:
    """Train a model as a config says: in this process, in new ones (`nproc`), or in those of the user's torchrun."""
    if not launched():
        return lead(config, ALONE)
    with joined(config.parallel, resolve_device(config.device).type) as ranks:
        return lead(config, ranks) if ranks.first else follow(ranks)


def lead(config: PretrainConfig, ranks: Ranks) -> Result:
    """The first process: opens the job, gets the data ready, trains with the others, closes the job."""
    job = open_job(config)
    resolve_device(config.device)  # a machine without the device says so before anything is begun
    sources = find_data(config) if job.stored is None else None
    if sources is None or config.dry_run:
        done = job.stored or plan(config, sources)
        ranks.share((done, None))
        return done
    job.begin()
    try:
        task = prepare(config, job, sources)
        ranks.share((None, task))
        values = train(task, ranks) if config.nproc == 1 or not ranks.alone else start(config, task)
    except InputError:
        refuse()
        raise
    result = job.finish(
        values, logs=["metrics.parquet"], next=f"vlmkit eval {config.out} --task-data TASKS --out scores"
    )
    return ranks.share(result)


def follow(ranks: Ranks) -> Result:
    """Any other process."""
    nothing: tuple[Result | None, Task | None] = (None, None)
    done, task = ranks.share(nothing)
    if task is not None:
        train(task, ranks)
        done = ranks.share(done)
    assert done is not None
    return done


def start(config: PretrainConfig, task: Task) -> dict[str, object]:
    """Train in new processes."""
    device = resolve_device(config.device).type
    return launch(train, task, nproc=config.nproc, kind=config.parallel, device=device)


def find_data(config: PretrainConfig) -> Sources:
    """The inputs, checked as far as that goes without writing."""
    vocab_size = vocab_of(config.init, config.vocab_size) if config.init else config.vocab_size
    return open_sources(config.data, config.val, tokenizer=config.init or config.tokenizer, vocab_size=vocab_size)


def prepare(config: PretrainConfig, job: Job, sources: Sources) -> Task:
    """Make the tokens that are missing, and note where the data come from."""
    origin = {"data": ",".join(digest(path) for path in config.data)}
    origin |= {"init": digest(config.init)} if config.init else {}
    return Task(config, sources.corpus(job.state), job.config_digest, origin, job.folder, job.state)


def digest(path: Path) -> str:
    """The content digest of an input."""
    return lineage(path) or identify(path)[1]


def plan(config: PretrainConfig, sources: Sources | None) -> Result:
    """What a run would take; nothing is written."""
    assert sources is not None
    recipe = config.recipe
    vocab_size, available, counted = sources.estimate()
    arch = str(find(config.init, "model") / "config.json") if config.init else config.arch
    seq_len = None if config.init else recipe.seq_len
    model = build_causal_lm(arch, config.size, vocab_size=vocab_size, seed=0, seq_len=seq_len, device="meta")
    seq_len = seq_len_of(model, config.seq_len, recipe.seq_len)
    params, available = count_parameters(model), round(available * (1 - config.held))
    tokens = token_budget(
        params, available, tokens=config.tokens, multiplier=config.multiplier, default=MULTIPLIER, epochs=EPOCHS
    )
    rows = config.micro_batch_size or math.ceil(recipe.batch_size / config.nproc)
    facts: dict[str, object] = {
        "params": params,
        "vocab_size": vocab_size,
        "tokens": tokens,
        "available_tokens": available,
        "available_is_estimated": not counted,
        "epochs": round(tokens / max(available, 1), 3),
        "steps": math.ceil(tokens / (seq_len * recipe.batch_size)),
        "flops": 6.0 * params * tokens,
        "memory_bytes": memory_bytes(model, rows=rows, seq_len=seq_len),
        "files": FILES,
    }
    return Result({"plan": facts})
