"""Checkpoints of a run: a folder that appears whole or not at all, from which training goes on to the same bits.

    step-00000042/  model.safetensors  optimizer.safetensors  metrics.safetensors  state.json

Random numbers need no state of their own: the loop seeds its generators at every step from (seed, step, rank). The data
cursor is the step; `state.json` spells it out as pass and row. Weights and optimizer are keyed by parameter name and
gathered whole, so that another number of ranks may go on.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from vlmkit.core.errors import InputError
from vlmkit.core.io.files import atomic, remove, write_json
from vlmkit.core.io.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from vlmkit.core.train.loop import Run


@dataclass
class Checkpoints:
    """Where a run is saved, and how often: every `every` steps, or about every `seconds` at little cost.

    Without `every`, at most about 2 % of the time goes into saving.
    """

    folder: Path
    every: int | None = None
    seconds: float = 20.0
    about: dict[str, object] = field(default_factory=dict)  # further facts for state.json
    _last: float = field(default_factory=time.perf_counter)
    _cost: float = 0.0

    def due(self, step: int) -> bool:
        """Whether the state after `step` steps should be saved now."""
        if self.every:
            return step % self.every == 0
        return time.perf_counter() - self._last > max(self.seconds, 50 * self._cost)

    def latest(self) -> Path | None:
        """The newest complete checkpoint."""
        found = sorted(p for p in self.folder.glob("step-*") if ".tmp-" not in p.name)
        return found[-1] if found else None

    def save(self, run: "Run") -> None:
        """Save a run as it stands between two steps; all ranks take part, the first one writes."""
        begin = time.perf_counter()
        weights, moments = gather_weights(run.model), gather_optimizer(run.model, run.optimizer)
        if run.ranks.first:
            path = self.folder / f"step-{run.step:08d}"
            if not path.exists():
                with atomic(path) as beside:
                    beside.mkdir(parents=True)
                    save_tensors(beside / "model.safetensors", weights)
                    save_tensors(beside / "optimizer.safetensors", moments)
                    rows = {name: torch.tensor(values, dtype=torch.float64) for name, values in run.rows.items()}
                    save_tensors(beside / "metrics.safetensors", rows)
                    write_json(beside / "state.json", self.about | run.state())
            for old in self.folder.glob("step-*"):
                if old != path:
                    remove(old)
        run.ranks.wait()
        self._last = time.perf_counter()
        self._cost = self._last - begin

    def restore(self, run: "Run") -> bool:
        """Bring a fresh run to the newest checkpoint, if there is one."""
        path = self.latest()
        if path is None:
            return False
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if state["num_steps"] != run.num_steps or state["seed"] != run.seed:
            raise InputError(
                f"this checkpoint is of a run of {state['num_steps']} steps with seed {state['seed']}",
                where=str(path),
                fix="another folder, or start afresh with --overwrite",
            )
        load_weights(run.model, load_tensors(path / "model.safetensors"))
        load_optimizer(run.model, run.optimizer, load_tensors(path / "optimizer.safetensors"))
        rows = load_tensors(path / "metrics.safetensors")
        run.rows = {name: rows[name].tolist() for name in sorted(rows)}
        run.step, run.tokens = state["step"], state["tokens"]
        run.wall_s, run.busy_s = state["wall_s"], state["busy_s"]
        return True


def gather_weights(model: nn.Module) -> dict[str, Tensor]:
    """Parameters (each once) and persistent buffers by name, whole on every rank."""
    found = {name: full(p) for name, p in model.named_parameters()}
    aliases = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    return found | {name: full(t) for name, t in model.state_dict().items() if name not in aliases}


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy saved parameters and buffers into a model, in place."""
    targets = dict(model.named_parameters()) | dict(model.named_buffers())
    with torch.no_grad():
        for name, value in weights.items():
            targets[name].copy_(placed(value, targets[name]))


def gather_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors as `parameter/key`, whole on every rank."""
    return {
        f"{name}/{key}": full(value)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, saved: dict[str, Tensor]) -> None:
    """Put the optimizer's tensors back; sharded parameters get sharded moments."""
    fused = optimizer.defaults.get("fused") or optimizer.defaults.get("capturable")
    parameters = dict(model.named_parameters())
    for joined, value in saved.items():
        name, _, key = joined.rpartition("/")
        parameter = parameters[name]
        scalar = value.ndim == 0
        there = value.to(parameter.device) if not scalar or fused else value
        optimizer.state[parameter][key] = there if scalar else placed(there, parameter)


def full(tensor: Tensor) -> Tensor:
    """A tensor whole on this rank (a collective for a sharded one), detached."""
    detached = tensor.detach()
    return detached.full_tensor() if isinstance(detached, DTensor) else detached


def placed(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor laid out as another one: its device, and its shards if it is sharded."""
    value = value.to(like.device)
    return distribute_tensor(value, like.device_mesh, like.placements) if isinstance(like, DTensor) else value


def save_state(folder: Path, run: "Run") -> None:
    """Write the final optimizer and where the run stands beside its model, without any clock."""
    moments = gather_optimizer(run.model, run.optimizer)
    if run.ranks.first:
        save_tensors(folder / "optimizer.safetensors", moments)
        state = {key: value for key, value in run.state().items() if key not in {"wall_s", "busy_s"}}
        write_json(folder / "state.json", state)


def as_json(position: object) -> object:
    """A dataclass as a dictionary, anything else as it is."""
    return asdict(position) if hasattr(position, "__dataclass_fields__") else position  # type: ignore[call-overload]
