"""Models that a user brings as code: a function in a file, a TorchScript file, an exported program."""

import inspect
import sys
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from vlmkit.core.errors import InputError, VlmkitError, nearest
from vlmkit.core.io.artifacts import missing
from vlmkit.core.io.code import load_file
from vlmkit.core.models.load import gist

Compute = Callable[[Tensor], object]
WANTED = "FILE.py:FUNCTION returns an nn.Module from pixels (B, C, Y, X) in [0, 1] to logits (B, V)"


@dataclass(frozen=True)
class Blame:
    """Turns whatever a user's model raises into an error that says where, down to the line of the user's file."""

    where: str
    given: str = ""

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, VlmkitError | torch.OutOfMemoryError):
            return
        file = self.where.rpartition(":")[0] or self.where
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        words = [self.where, *([f"line {lines[-1]}"] if lines else []), *([self.given] if self.given else [])]
        what = f"the model fails: {type(error).__name__}: {gist(error)}"
        raise InputError(what, where=", ".join(words), fix="mend it, or give other images") from error


def load_function(word: str, place: torch.device, dtype: torch.dtype) -> Compute:
    """The model that FILE.py:FUNCTION returns; FUNCTION may also be the nn.Module itself, or map pixels to logits.

    Raises:
        InputError: the file or the function is not there, fails, or gives no model.
    """
    file, _, name = word.rpartition(":")
    path = Path(file or word)
    if not path.is_file():
        raise missing(path)
    if not file:
        raise InputError("which function gives the model?", where=word, fix=f"{word}:FUNCTION")
    with beside(path), Blame(word):
        module = load_file(path)
        found: object = module
        for part in name.split("."):
            if not hasattr(found, part):
                raise InputError(f"{path.name} has no '{name}'", where=word, fix=nearest(name, public(module)))
            found = getattr(found, part)
        if callable(found) and not isinstance(found, nn.Module) and not required(found):
            found = found()
    return ready(found, word, place, dtype)


def load_torchscript(path: Path, place: torch.device, dtype: torch.dtype) -> Compute:
    """The module of a TorchScript file.

    Raises:
        InputError: the file is something else, such as a state dict; nothing is unpickled.
    """
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    if not any(name.endswith("/constants.pkl") for name in names):
        raise InputError(
            "this is not TorchScript (weights alone, or a pickled module?)",
            where=str(path),
            fix="torch.jit.save(torch.jit.script(model), FILE), or give FILE.py:FUNCTION",
        )
    with Blame(str(path)), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(str(path), map_location=place)
    return ready(module, str(path), place, dtype)


def load_exported(path: Path, place: torch.device, dtype: torch.dtype) -> Compute:
    """The computation of an exported program (torch.export); it keeps the number format that it was exported with."""
    if dtype != torch.float32:
        raise InputError("an exported program keeps its number format", where=str(path), fix="leave out --dtype")
    with Blame(str(path)):
        program = torch.export.load(path)
        if place.type != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, place)
        module = program.module()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    batch = rows_taken(program)

    def compute(pixels: Tensor) -> object:  # no submodule of the classifier: an exported module refuses eval()
        return module(pixels) if batch is None else in_batches(module, pixels, batch)

    return compute


def rows_taken(program: torch.export.ExportedProgram) -> int | None:
    """How many images a program takes, where it was exported for one number alone."""
    inputs = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    shape = getattr(inputs[0].meta.get("val"), "shape", ()) if inputs else ()
    return shape[0] if shape and isinstance(shape[0], int) else None


def in_batches(module: nn.Module, pixels: Tensor, batch: int) -> Tensor:
    """The logits of any number of images from a model that takes `batch`; the last image fills up what is missing."""
    missing = -len(pixels) % batch
    whole = torch.cat([pixels, pixels[-1:].expand(missing, *pixels.shape[1:])])
    return torch.cat([answer(module(some)) for some in whole.split(batch)])[: len(pixels)]


def answer(found: object) -> Any:
    """The logits in what a model gives: itself, the `logits` of an output, or the first of several."""
    if isinstance(found, dict):
        return found.get("logits")
    return found[0] if isinstance(found, tuple | list) and found else getattr(found, "logits", found)


def ready(found: object, word: str, place: torch.device, dtype: torch.dtype) -> Compute:
    """A model on its device, in its number format; a plain function has neither."""
    if isinstance(found, nn.Module):
        return found.to(device=place, dtype=dtype)
    if not callable(found):
        raise InputError(f"this gives {type(found).__name__}, no model", where=word, fix=WANTED)
    if dtype != torch.float32:
        raise InputError("a plain function keeps its number format", where=word, fix="leave out --dtype")
    return found


def required(function: object) -> int:
    """How many arguments a callable cannot do without."""
    assert callable(function)
    needed = inspect.signature(function).parameters.values()
    empty, given = inspect.Parameter.empty, (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return sum(one.default is empty and one.kind not in given for one in needed)


def public(module: ModuleType) -> list[str]:
    """The functions and classes that a file defines."""
    return [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]


@contextmanager
def beside(path: Path) -> Iterator[None]:
    """A file may import what lies beside it."""
    folder = str(path.parent.absolute())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
