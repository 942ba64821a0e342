"""A measurement on the disk, so that one that is killed goes on from there."""

import json
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from vlmkit.core.attack.curve import Done, Place, Subject
from vlmkit.core.attack.lanes import Work
from vlmkit.core.io.tensors import load_tensors, save_tensors, tensor_metadata


class FileTrail:
    """A safetensors file: the board and the lanes as tensors, the steps that are done as metadata."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, subject: Subject, place: Place) -> None:
        """Write it whole or not at all."""
        tensors = {f"board.{name}": value for name, value in subject.board.state().items()}
        told: dict[str, object] = {
            "done": [asdict(one) for one in place.done], "eps": place.eps, "passes": place.passes,
            "forwards": subject.oracle.forwards, "backwards": subject.oracle.backwards,
        }  # fmt: skip
        tensors |= {f"held.{eps!r}": one for eps, one in place.held.items()}
        tensors |= {f"before.{name}": one for name, one in (place.before or {}).items()}
        if place.work is not None:
            work = place.work
            parts = {"rows": work.rows, "targets": work.targets, "keys": work.keys, "hit": work.hit}
            tensors |= {f"work.{name}": one for name, one in parts.items() if one is not None}
            told |= {"place": work.place}
            if work.active is not None and work.state is not None and len(work.active):
                tensors |= {"active": work.active} | {f"state.{name}": one for name, one in work.state.items()}
        save_tensors(self.path, tensors, metadata={"told": json.dumps(told)})

    def load(self, subject: Subject) -> Place:
        """The place that was kept, with the board as it was there; the beginning if there is none."""
        if not self.path.is_file():
            return Place()
        tensors = load_tensors(self.path, device=str(subject.board.x.device))
        told = json.loads(tensor_metadata(self.path)["told"])
        subject.board.load(inside(tensors, "board."))
        subject.oracle.forwards, subject.oracle.backwards = told["forwards"], told["backwards"]
        work = None
        if "place" in told:
            rows, targets, keys = (tensors[f"work.{name}"] for name in ("rows", "targets", "keys"))
            work = Work(rows, targets, keys, tensors.get("work.hit"), told["place"])
            if "active" in tensors:
                work.active, work.state = tensors["active"], inside(tensors, "state.")
        forwards, backwards = told["passes"]
        before = inside(tensors, "before.") or None
        held = {float(name): one for name, one in inside(tensors, "held.").items()}
        return Place([Done(**one) for one in told["done"]], work, told["eps"], (forwards, backwards), before, held)


def inside(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of a part, by their names there."""
    return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
