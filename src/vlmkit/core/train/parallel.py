"""Several processes that train one model: who they are, how they split a batch, how they are started.

Distribution is applied from outside: DDP or FSDP2 (`fully_shard`) on a DeviceMesh, gloo on CPUs and NCCL on GPUs. The
processes come from the user's torchrun (`joined`) or from ours (launch.py). A global batch is divided so that the loss
and the gradient equal those of one process up to rounding.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from vlmkit.core.errors import CapabilityError
from vlmkit.core.train.data import Batch, count

T = TypeVar("T")
Kind = Literal["ddp", "fsdp"]
LOST = (
    "closed by peer",
    "Connection reset",
    "Broken pipe",
    "Timed out",
    "timed out",
    "Connection refused",
    "peer",
    "NCCL",
)
PATIENCE = timedelta(minutes=30)  # for a peer that neither answers nor dies


@dataclass(frozen=True)
class Ranks:
    """The processes of a run as one of them sees it."""

    rank: int = 0
    world: int = 1
    kind: Kind = "ddp"
    mesh: DeviceMesh | None = None
    device: torch.device | None = None  # of this process, when a launcher has chosen it

    @property
    def alone(self) -> bool:
        """Whether there is one process only."""
        return self.world == 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def shard(self, objective: nn.Module) -> None:
        """Shard a model's parameters in place, block by block (FSDP2); do nothing for DDP."""
        if self.mesh is not None and self.kind == "fsdp":
            for block in blocks(objective):
                fully_shard(block, mesh=self.mesh)
            fully_shard(objective, mesh=self.mesh)

    def replicate(self, objective: nn.Module) -> nn.Module:
        """Wrap a model so that its gradients are averaged (DDP); do nothing for FSDP."""
        if self.mesh is None or self.kind == "fsdp":
            return objective
        device = next(objective.parameters()).device
        ids = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(
            objective, device_ids=ids, broadcast_buffers=False, process_group=self.mesh.get_group()
        )

    def sync(self, objective: nn.Module, last: bool) -> AbstractContextManager[None]:
        """Hold back the exchange of gradients until the last of several backward passes."""
        if isinstance(objective, FSDPModule):
            objective.set_requires_gradient_sync(last)
        elif isinstance(objective, DistributedDataParallel) and not last:
            return objective.no_sync()
        return nullcontext()

    def settle(self, objective: nn.Module) -> None:
        """Give back the parameters that a forward pass without a backward pass has gathered (FSDP2)."""
        if isinstance(objective, FSDPModule):
            objective.reshard()

    def shares(self, pieces: Sequence[Batch], micro: int | None) -> list[tuple[Batch, float]]:
        """This rank's micro-batches of a global batch, each with its part of the whole; all ranks' parts add to 1.

        Every rank gets the same number; one without rows of its own repeats a row at weight 0, so that the ranks'
        collectives stay in step.
        """
        total = sum(count(piece) for piece in pieces) or 1
        found = []
        for piece in pieces:
            rows = len(next(iter(piece.values())))
            span = (micro or -(-rows // self.world)) * self.world
            for start in range(0, rows, span):
                each = -(-min(span, rows - start) // self.world)
                low = start + self.rank * each
                high = min(low + each, start + span, rows)
                own = (
                    piece
                    if (low, high) == (0, rows)
                    else rows_of(piece, low, high)
                    if low < high
                    else rows_of(piece, start, start + 1)
                )
                found.append((own, count(own) / total if low < high else 0.0))
        return found

    def total(self, values: Tensor) -> Tensor:
        """The sum over ranks."""
        if not self.alone:
            dist.all_reduce(values)
        return values

    def share(self, value: T) -> T:
        """The first rank's value, on every rank."""
        box = [value]
        if not self.alone:
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Until every rank is here."""
        if not self.alone:
            dist.barrier()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Tell a lost peer from other faults.

        Raises:
            CapabilityError: another process of the run has gone.
        """
        try:
            yield
        except RuntimeError as error:
            if self.alone or not any(word in str(error) for word in LOST):
                raise
            raise lost(str(error).strip().splitlines()[0][:200]) from error


ALONE = Ranks()


def launched() -> bool:
    """Whether torchrun (or another launcher that speaks its language) started this process as one of several."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def joined(
    kind: Kind, device: str, *, rank: int | None = None, world: int | None = None, meeting: str = "env://"
) -> Iterator[Ranks]:
    """Join the other processes: a process group and a DeviceMesh, left when the block ends.

    Without rank and world they are torchrun's. `device` is cpu or cuda; each process takes the GPU of its local rank.
    """
    rank = int(os.environ["RANK"]) if rank is None else rank
    world = int(os.environ["WORLD_SIZE"]) if world is None else world
    place = torch.device(device)
    if device == "cuda":
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", rank % torch.cuda.device_count())))
        torch.cuda.set_device(place)
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=world, timeout=PATIENCE)
    ranks = Ranks(rank, world, kind, init_device_mesh(device, (world,)), place)
    with ranks.watch():
        yield ranks
    dist.destroy_process_group()


def blocks(model: nn.Module) -> list[nn.Module]:
    """The repeated layers of a model: the members of its lists of equal modules, outermost only."""
    lists = [
        m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) > 1 and len({type(x) for x in m}) == 1
    ]
    inner = {child for one in lists for layer in one for child in layer.modules() if isinstance(child, nn.ModuleList)}
    return [layer for one in lists if one not in inner for layer in one]


def rows_of(batch: Batch, start: int, stop: int) -> Batch:
    """Rows [start, stop) of every tensor of a batch."""
    return {name: tensor[start:stop] for name, tensor in batch.items()}


def lost(detail: str) -> CapabilityError:
    """The error for a process of the run that has gone."""
    return CapabilityError(
        "a process of this run was lost",
        where=detail,
        fix="run the same command again: it goes on from the last checkpoint (killed for memory? fewer --nproc)",
    )
