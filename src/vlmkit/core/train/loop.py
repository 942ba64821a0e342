"""The training loop: `fit(model, batches, loss, *, optim, schedule, hooks)`, the same for every paper.

A paper is its loss: `loss(model, batch, generator) -> (Tensor, metrics)`, a mean over the items of one batch (tokens,
images) and named numbers to log. Step k trains on `batches[k]`; generators are seeded from (seed, k, rank). So the
state of a run is its weights, its optimizer and k, and it resumes to the same bits.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from vlmkit.core.errors import RunError
from vlmkit.core.io.progress import progress
from vlmkit.core.train.checkpoint import Checkpoints, as_json, full
from vlmkit.core.train.data import Batch, count, scatter
from vlmkit.core.train.interrupt import Held
from vlmkit.core.train.parallel import ALONE, Ranks
from vlmkit.core.train.schedule import Schedule

Loss = Callable[[nn.Module, Batch, torch.Generator], tuple[Tensor, Mapping[str, Tensor]]]
Optim = Callable[[nn.Module], torch.optim.Optimizer]
Batches = Sequence[Batch] | Sequence[Sequence[Batch]]


@dataclass
class Run:
    """A training run between two steps: `step` steps are done, `tokens` items were trained on."""

    model: nn.Module
    objective: nn.Module  # the model and its loss, wrapped for several processes
    optimizer: torch.optim.Optimizer
    batches: Batches
    num_steps: int
    seed: int
    autocast: torch.dtype | None
    ranks: Ranks
    device: torch.device
    step: int = 0
    tokens: int = 0
    wall_s: float = 0.0
    busy_s: float = 0.0  # of it in forward, backward and the optimizer's step
    rows: dict[str, list[float]] = field(default_factory=dict)  # one list a metric, one number a step

    def state(self) -> dict[str, object]:
        """What a checkpoint says in words."""
        where = getattr(self.batches, "position", lambda step: {"batch": step})(self.step)
        numbers = {"step": self.step, "num_steps": self.num_steps, "tokens": self.tokens, "seed": self.seed}
        return {**numbers, "data": as_json(where), "wall_s": self.wall_s, "busy_s": self.busy_s}


Hook = Callable[[Run], None]


class Objective(nn.Module):
    """A model and its loss as one module, so that data-parallel wrappers see the whole computation."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of one batch, and its metrics."""
        return self.loss(self.model, batch, generator)


def fit(
    model: nn.Module,
    batches: Batches,
    loss: Loss,
    *,
    optim: Optim,
    schedule: Schedule,
    hooks: Sequence[Hook] = (),
    clip: float | None = 1.0,
    micro_batch_size: int | None = None,
    autocast: torch.dtype | None = None,
    seed: int = 0,
    checkpoints: Checkpoints | None = None,
    ranks: Ranks = ALONE,
) -> Run:
    """Train a model in place, one step a batch, and return the finished run.

    Args:
        batches: `batches[k]` is the global batch of step k: a dict of tensors (B, …), or a list of them.
        loss: mean loss of a batch; a batch with `targets` counts by its targets (other than -100), any other by rows.
        optim: from the model to its optimizer; each group's learning rate is `schedule(step, group["peak"])`.
        hooks: called after every step.
        clip: largest norm of the gradient; None leaves it alone.
        micro_batch_size: rows a forward pass; gradients add up to those of the whole batch.
        autocast: number format of the computation (weights stay as they are); None for the weights' own.
        checkpoints: where to save, and to resume from if something is there.
        ranks: the processes that share each batch.

    Raises:
        RunError: the loss or the gradient is not finite; the step is not taken.
    """
    run = prepare(model, batches, loss, optim=optim, autocast=autocast, seed=seed, ranks=ranks)
    if checkpoints is not None:
        checkpoints.restore(run)
    model.train()
    whole = True
    try:
        while run.step < run.num_steps:
            with Held(), ranks.watch():
                whole = False
                due = checkpoints is not None and checkpoints.due(run.step + 1)
                due = take_step(run, schedule, clip=clip, micro_batch_size=micro_batch_size, due=due)
                whole = True
                for hook in hooks:
                    hook(run)
                if checkpoints is not None and due and run.step < run.num_steps:
                    checkpoints.save(run)
    except (KeyboardInterrupt, SystemExit):
        if checkpoints is not None and whole and ranks.alone:
            checkpoints.save(run)
        raise
    return run


def prepare(
    model: nn.Module,
    batches: Batches,
    loss: Loss,
    *,
    optim: Optim,
    autocast: torch.dtype | None = None,
    seed: int = 0,
    ranks: Ranks = ALONE,
) -> Run:
    """A run at step 0: sharded or replicated over the ranks, with its optimizer."""
    objective = Objective(model, loss)
    ranks.shard(objective)  # it replaces the parameters, so the optimizer comes after
    optimizer = optim(model)  # it freezes parameters, which replicas must know
    device = next(model.parameters()).device
    wrapped = objective if ranks.alone else ranks.replicate(objective)
    return Run(model, wrapped, optimizer, batches, len(batches), seed, autocast, ranks, device)


def measure(run: Run, batches: Batches) -> dict[str, float]:
    """Mean loss and metrics of a run's model over batches, without training: each item weighs the same."""
    sums: dict[str, float] = {}
    items = 0
    run.model.eval()
    generator = seed_all(run.seed, run.num_steps, run.ranks.rank, run.device)
    with torch.no_grad(), run.ranks.watch():
        for index in range(len(batches)):
            for piece in as_pieces(batches[index]):
                ((share, part),) = run.ranks.shares([piece], None)
                loss, metrics = forward(run, share, generator)
                named = {"loss": loss, **metrics}
                found = torch.stack([value.detach().double() * part for value in named.values()])
                values, weight = run.ranks.total(found).tolist(), count(piece)
                sums = {name: sums.get(name, 0.0) + value * weight for name, value in zip(named, values, strict=True)}
                items += weight
            progress("validate", index + 1, len(batches), "batches")
        run.ranks.settle(run.objective)
    run.model.train()
    return {name: value / items for name, value in sums.items()}


def take_step(run: Run, schedule: Schedule, *, clip: float | None, micro_batch_size: int | None, due: bool) -> bool:
    """One step: gradient of the whole batch, clipping, optimizer, log. Whether any rank wants a checkpoint after it."""
    begin, busy = time.perf_counter(), run.busy_s
    pieces = as_pieces(run.batches[run.step])
    sums = backward(run, run.ranks.shares(pieces, micro_batch_size))
    vector = torch.stack([*sums.values(), torch.tensor(float(due), device=run.device)])
    values = dict(zip([*sums, "due"], run.ranks.total(vector).tolist(), strict=True))
    wanted = values.pop("due") > 0
    values["grad_norm"] = clip_gradient(run.model, clip)
    for name in ("loss", "grad_norm"):
        if not math.isfinite(values[name]):
            raise not_finite(run, name, values[name])
    values["lr"] = set_rates(run.optimizer, schedule, run.step)
    start = time.perf_counter()
    run.optimizer.step()
    run.busy_s += time.perf_counter() - start
    run.optimizer.zero_grad(set_to_none=True)
    items = sum(count(piece) for piece in pieces)
    run.step, run.tokens = run.step + 1, run.tokens + items
    seconds = time.perf_counter() - begin
    run.wall_s += seconds
    log_row(run, values | {"tokens_per_second": items / seconds, "overhead": 1 - (run.busy_s - busy) / seconds})
    return wanted


def backward(run: Run, shares: Sequence[tuple[Batch, float]]) -> dict[str, Tensor]:
    """Accumulate the gradient of a batch from this rank's micro-batches; its part of the loss and the metrics."""
    generator = seed_all(run.seed, run.step, run.ranks.rank, run.device)
    sums: dict[str, Tensor] = {}
    for index, (share, part) in enumerate(shares):
        start = time.perf_counter()
        with run.ranks.sync(run.objective, last=index == len(shares) - 1):
            loss, metrics = forward(run, share, generator)
            scale = part * run.ranks.world  # the wrappers average over ranks
            (loss if scale == 1.0 else loss * scale).backward()
        run.busy_s += time.perf_counter() - start
        for name, value in {"loss": loss, **metrics}.items():
            value = value.detach().float() * part
            sums[name] = sums[name] + value if name in sums else value
    return sums


def forward(run: Run, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
    """The loss and the metrics of a batch, in the run's number format."""
    placed = {name: tensor.to(run.device, non_blocking=True) for name, tensor in batch.items()}
    with torch.autocast(run.device.type, run.autocast) if run.autocast else nullcontext():
        return run.objective(placed, generator)


def as_pieces(batch: Batch | Sequence[Batch]) -> Sequence[Batch]:
    """A batch as a list of dicts."""
    return [batch] if isinstance(batch, Mapping) else batch


def clip_gradient(model: nn.Module, clip: float | None) -> float:
    """Scale all gradients together so that their norm is at most `clip`; return the norm before."""
    trained = [p for p in model.parameters() if p.grad is not None]
    norm = full(nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None], foreach=True))
    value = float(norm)
    if clip is not None and value > clip:
        nn.utils.clip_grads_with_norm_(trained, clip, norm, foreach=True)
    return value


def set_rates(optimizer: torch.optim.Optimizer, schedule: Schedule, step: int) -> float:
    """Give every group its learning rate for a step; return the first group's."""
    for group in optimizer.param_groups:
        group["lr"] = schedule(step, group.setdefault("peak", group["lr"]))
    return float(optimizer.param_groups[0]["lr"])


def seed_all(seed: int, step: int, rank: int, device: torch.device) -> torch.Generator:
    """A generator for one step on one rank, and torch's own ones (dropout) seeded likewise."""
    mixed = int(scatter(np.array([step * 65536 + rank], dtype=np.uint64), seed)[0] >> np.uint64(1))
    torch.default_generator.manual_seed(mixed)
    if device.type == "cuda":
        torch.cuda.manual_seed(mixed)
    return torch.Generator(device).manual_seed(mixed)


def log_row(run: Run, values: Mapping[str, float]) -> None:
    """Append a step to the metrics and tell how far the run is."""
    for name, value in {"step": run.step, "tokens": run.tokens, **values}.items():
        run.rows.setdefault(name, []).append(float(value))
    shown = {name: values[name] for name in ("loss", "tokens_per_second")}
    progress("train", run.step, run.num_steps, "steps", **shown)


def log_table(run: Run) -> list[dict[str, object]]:
    """The metrics as rows of a table, one a step."""
    names = [*("step", "tokens", "loss", "lr"), *sorted(run.rows.keys() - {"step", "tokens", "loss", "lr"})]
    counts = {"step", "tokens"}
    columns = zip(*(run.rows[name] for name in names), strict=True)
    return [{n: int(v) if n in counts else v for n, v in zip(names, values, strict=True)} for values in columns]


def not_finite(run: Run, name: str, value: float) -> RunError:
    """The error for a loss or a gradient that is no number."""
    what = "loss" if name == "loss" else "gradient"
    return RunError(
        f"the {what} is {value} at step {run.step + 1} of {run.num_steps}",
        where=f"after {run.tokens:,} tokens; the step was not taken",
        fix="a lower --lr, a longer --warmup or a smaller --clip; and --overwrite; with bfloat16 also try float32",
    )
