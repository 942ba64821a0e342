"""Operations that users bring: of a package by name, or of a module or a file of their own.

A recipe names them as `func`: the name of an entry point of the group `vlmkit.curate`, MODULE:FUNCTION, or
FILE.py:FUNCTION, where the file is looked for as it is and under --assets. DCLM's names come first.

A function takes a page as DCLM's own operations do, a dictionary with `text`, `url`, `metadata`, `id` and what earlier
steps noted, and the step's arguments by name. It gives True or False (the page stays or goes), a text (its new one), a
page, a list of one page or none, a `Drop` with rule, value and bound for the log, or what it `Found` and its bounds,
whether the page stays or not: then the ledger has the value of every page. A class is made with the arguments, once in
each process, and what it makes is called with each page.
"""

import importlib
import inspect
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from vlmkit.core.curate.operations import Maker, Operation, Page, Setting
from vlmkit.core.curate.rules import Drop, Found
from vlmkit.core.errors import InputError, RunError, VlmkitError
from vlmkit.core.io.code import load_file
from vlmkit.core.io.encodings import clean
from vlmkit.core.io.files import digest

GROUP = "vlmkit.curate"
RESULTS = "True or False, a text, a page, a list of one page or none, a Drop or what it Found"


def custom(name: str) -> Maker | None:
    """What makes an operation that is not DCLM's, or None when nobody brings one of that name."""
    point = registered(name)
    if point is None and ":" not in name:
        return None
    place = name if point is None else f"{point.module}:{point.attr}"
    module, _, attribute = place.rpartition(":")
    shown = f"{Path(module).name}:{attribute}" if point is None else name

    def maker(setting: Setting, **kwargs: Any) -> Operation:
        brought = attribute_of(load(module, setting), attribute, name)
        if inspect.isclass(brought):
            with Told(InputError, name, "mend it, or its arguments"):
                return operation(shown, brought(**kwargs), {})
        takes = inspect.signature(brought)
        try:
            takes.bind({}, **kwargs)
        except TypeError as error:
            raise InputError(f"{name}: {error}", where=name, fix=f"it takes {takes}") from error
        return operation(shown, brought, kwargs)

    return maker


def operation(name: str, call: Any, kwargs: dict[str, Any]) -> Operation:
    """An operation from what a user brings.

    It raises a RunError when the user's code fails on a page, and an InputError when it gives what is none of RESULTS.
    """

    def on_page(page: Page) -> Drop | Found | None:
        with Told(RunError, f"{name}, page {page.get('id', '')}", "mend it; the run goes on where it stopped"):
            found = call(page, **kwargs)
        left = taken(name, page, found)
        if not isinstance(left, Drop):
            text: Any = page.get("text")
            if not all(isinstance(one, str) for one in (text if isinstance(text, list) else [text])):
                raise InputError(f"{name} leaves a page without a text", where=name, fix="a page has a text")
            page["text"] = [clean(one) for one in text] if isinstance(text, list) else clean(text)
        return left

    return on_page


def taken(name: str, page: Page, found: Any) -> Drop | Found | None:
    """Do to a page what a user's function says."""
    if isinstance(found, Drop | Found):
        return found
    if isinstance(found, bool | np.bool_):
        return None if found else Drop(name, 0, 1)
    if isinstance(found, str):
        page["text"] = found
        return None if found else Drop(name, 0, 1)
    pages = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in pages) or len(pages) > 1:
        what = f"{len(pages)} pages of one" if len(pages) > 1 else type(found).__name__
        raise InputError(f"{name} gives {what}", where=name, fix=f"it is to give {RESULTS}")
    for one in pages:
        if one is not page:
            left = dict(one)
            page.clear()
            page.update(left)
    return None if pages else Drop(name, 0, 1)


def load(module: str, setting: Setting) -> ModuleType:
    """A module by its name, or a file.

    Raises:
        InputError: it is not there, or fails while it is loaded.
    """
    if not module.endswith(".py"):
        try:
            with Told(InputError, module, "mend it"):
                return importlib.import_module(module)
        except InputError as error:
            if isinstance(error.__cause__, ModuleNotFoundError):
                error.fix = "install it, or name a file: FILE.py:FUNCTION"
            raise
    path = setting.find(module, what="a step")
    with Told(InputError, module, "mend it"):
        return load_file(path)


def attribute_of(module: ModuleType, path: str, name: str) -> Any:
    """What a module has under a dotted path."""
    found: Any = module
    for word in path.split("."):
        if not hasattr(found, word):
            raise InputError(f"{module.__name__} has no '{path}'", where=name, fix="MODULE:FUNCTION")
        found = getattr(found, word)
    if not callable(found):
        raise InputError(f"{path} cannot be called", where=name, fix="name a function or a class")
    return found


def registered(name: str) -> metadata.EntryPoint | None:
    """The entry point of a name."""
    return next(iter(metadata.entry_points(group=GROUP, name=name)), None)


def registered_names() -> list[str]:
    """The names of all entry points."""
    return sorted({point.name for point in metadata.entry_points(group=GROUP)})


def code_of(name: str, setting: Setting) -> str:
    """The digest of the file that an operation is in, since other code makes another corpus; what that file imports is
    not looked at. Empty where there is no file, or nobody brings an operation of that name."""
    point = registered(name)
    if point is None and ":" not in name:
        return ""
    file = load(point.module if point else name.rpartition(":")[0], setting).__file__
    return digest(Path(file)) if file else ""


@dataclass(frozen=True)
class Told:
    """Turns whatever a user's own code raises into an error that says where."""

    kind: type[VlmkitError]
    where: str
    fix: str

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, VlmkitError):
            raise self.kind(f"{type(error).__name__}: {error}", where=self.where, fix=self.fix) from error
