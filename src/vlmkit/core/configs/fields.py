"""What one action of a command takes: a frozen dataclass whose fields become options.

A field is declared with `argument` or `option`; its annotation decides how words are read, its metadata how it shows.
Supported annotations: str, int, float (also 4/255), bool, Path, Literal, `T | None`, `tuple[T, ...]` (words split at
commas, or one word a value with `repeat=True`) and `dict[str, T]` (NAME=VALUE, repeating).
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from vlmkit.core.errors import InputError

INPUTS, METHOD, COMPUTE, COMMON = "Inputs", "Method", "Compute", "Common"


def argument(*, help: str, metavar: str | None = None, eats: tuple[str, ...] = (), maybe_path: bool = False) -> Any:
    """A positional word or, for a tuple, several. `eats` and `maybe_path` are those of `option`."""
    metadata = {"argument": True, "help": help, "metavar": metavar, "eats": eats, "panel": INPUTS}
    return dataclasses.field(metadata=metadata | {"maybe_path": maybe_path})


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    panel: str = METHOD,
    name: str | None = None,
    metavar: str | None = None,
    repeat: bool = False,
    digest: bool = True,
    eats: tuple[str, ...] = (),
    maybe_path: bool = False,
    known: tuple[str, ...] = (),
    must_exist: bool = True,
) -> Any:
    """An option. Without a default it is required.

    Args:
        digest: whether another value makes another artifact (false for device, workers and the like).
        eats: kinds of artifact that a path may be.
        maybe_path: a str that names either something known or a file; the file is an input then.
        known: names that no file takes over, though there be one of that name.
        must_exist: whether a Path has to exist before the work begins.
    """
    metadata = {
        "help": help, "panel": panel, "name": name, "metavar": metavar, "repeat": repeat, "digest": digest,
        "eats": eats, "maybe_path": maybe_path, "known": known, "must_exist": must_exist,
    }  # fmt: skip
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Action:
    """What every action takes. Subclasses name their command, and the kind of artifact that they make."""

    command: ClassVar[str]
    action: ClassVar[str] = "run"
    makes: ClassVar[str | None] = None  # the kind of artifact; None for actions that only report
    outputs: ClassVar[str] = ""  # one sentence on what is written
    paper: ClassVar[str] = ""
    examples: ClassVar[tuple[str, ...]] = ()

    out: Path | None = option(None, help="Folder to write.", panel=COMMON, digest=False, must_exist=False)
    seed: int = option(0, help="Seed of all randomness.", panel=COMMON)
    device: str = option("auto", help="auto, cpu or cuda[:n].", panel=COMPUTE, digest=False, metavar="DEVICE")
    dtype: Literal["auto", "float32", "bfloat16", "float16", "float64"] = option(
        "auto", help="Number format of the computation.", panel=COMPUTE
    )
    workers: int = option(0, help="Data workers; 0 takes one a core.", panel=COMPUTE, digest=False)
    overwrite: bool = option(
        False,
        help="Replace what another run left in --out; --resume (the default) goes on.",
        panel=COMMON,
        digest=False,
    )
    dry_run: bool = option(False, help="Check everything, print the plan, write nothing.", panel=COMMON, digest=False)

    def __post_init__(self) -> None:
        if self.makes and self.out is None and not self.dry_run:
            raise InputError(
                "--out is missing", where=f"vlmkit {self.command}", fix="name the folder to write: --out DIR"
            )
        kind = self.device.partition(":")[0]
        if kind not in {"auto", "cpu", "cuda"}:
            raise InputError(f"unknown device '{self.device}'", where="--device", fix="auto, cpu, cuda or cuda:N")
        if self.seed < 0:
            raise InputError(f"--seed is {self.seed}", where="--seed", fix="zero or a positive number")
        if self.workers < 0:
            raise InputError(
                f"--workers is {self.workers}", where="--workers", fix="0 (one a core) or a positive number"
            )
