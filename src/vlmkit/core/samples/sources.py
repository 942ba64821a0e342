"""Where the pages of the sample web come from: the documentation installed beside this package.

Packages are read, never imported: their docstrings are taken from the sources by a pattern, which reads seven times as
fast as a parser and may miss one. Everything is chosen by the
hash of its name, so the same Python and packages give the same pages, and one page in ten is always held out.
"""

import hashlib
import pydoc_data.topics
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from textwrap import shorten

from vlmkit.core.samples import prose
from vlmkit.core.samples.prose import Block

SKIPPED = re.compile(
    r"(^|[/.])(_[^/]*|tests?|testing|.*vendor.*|.*test|conftest|examples?|benchmarks?|vlmkit|setup)([/.]|$)"
)
FILE_BYTES = (3_000, 200_000)  # smaller sources hold no page, larger ones are tables
PAGE_CHARACTERS = (1_200, 10_000)  # of prose: shorter is no page, longer is cut at a definition
PROSE_SHARE = 0.5  # of a page's characters: more code and tables make no page to read
TOPIC_CHARACTERS = 400  # the language reference has short chapters
DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
MODULE = re.compile(r'(?:[ \t]*(?:#[^\n]*)?\n)*[rRuU]?"""(?P<doc>.*?)"""', re.DOTALL)
DEFINITION = re.compile(
    r"^(?P<indent>[ \t]*)(?:async )?(?P<word>def|class) (?P<name>\w+)(?P<arguments>\((?:[^()]|\([^()]*\))*\))?[^:\n]*:"
    r'[^\S\n]*(?:\#[^\n]*)?\n\s*[rRuU]?"""(?P<doc>.*?)"""',
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Page:
    """A page of documentation: its dotted name, what it is about, and its blocks."""

    name: str
    title: str
    blocks: tuple[Block, ...]


def held_out(name: str) -> bool:
    """Whether a page is kept out of the sample web, for the sample tasks: one in ten."""
    return rank(name) % 10 == 0


def rank(name: str) -> int:
    """A number that depends on the name alone: the order in which pages are taken."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def topics() -> Iterator[Page]:
    """The chapters of Python's language reference that `help()` knows."""
    for name, text in sorted(pydoc_data.topics.topics.items()):
        found = tuple(prose.tidy(prose.blocks(text)))
        if _prose(found) >= TOPIC_CHARACTERS:
            title = next((block.text for block in found if block.kind == "h"), name)
            yield Page(f"reference.{name}", title, found)


def packages() -> Iterator[Page]:
    """A page for each documented module of the installed packages, in the order of `rank`."""
    for name, path in sorted(_modules(), key=lambda module: rank(module[0])):
        page = _module_page(name, path)
        if page:
            yield page


@cache
def _modules() -> tuple[tuple[str, Path], ...]:
    roots = sorted({Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")})
    found = {}
    for root in roots:
        for path in root.rglob("*.py"):
            relative = path.relative_to(root).with_suffix("")
            if not SKIPPED.search(relative.as_posix().removesuffix("/__init__")):
                found[".".join(relative.parts).removesuffix(".__init__")] = path
    return tuple(sorted(found.items()))


def _module_page(name: str, path: Path) -> Page | None:
    """The page of a module, or None where its docstrings do not fill one."""
    if not FILE_BYTES[0] <= path.stat().st_size <= FILE_BYTES[1]:
        return None
    try:
        source = SourceFileLoader(name, str(path)).get_source(name) or ""
    except (SyntaxError, ImportError, ValueError):  # not in the encoding that it declares
        return None
    if sum(len(text) for text in DOCSTRING.findall(source)) < PAGE_CHARACTERS[0]:
        return None
    found: list[Block] = []
    for block in _definitions(source):
        found.append(block)
        if block.kind == "h" and _prose(found) > PAGE_CHARACTERS[1]:
            break
    found = prose.tidy(found)
    if _prose(found) < max(PAGE_CHARACTERS[0], PROSE_SHARE * sum(len(block.text) for block in found)):
        return None
    first = next((block.text for block in found if block.kind == "p"), "")
    return Page(name, f"{name}: {shorten(first, 80, placeholder='…')}" if first else name, tuple(found))


def _definitions(source: str) -> Iterator[Block]:
    """The docstrings of a module, of its public classes and functions, and of their public methods."""
    top = MODULE.match(source)
    if top:
        yield from prose.blocks(top.group("doc"))
    owner = ""
    for found in DEFINITION.finditer(source):
        name, depth = found.group("name"), len(found.group("indent").expandtabs())
        if depth == 0:
            owner = name if found.group("word") == "class" else ""
        if name.startswith("_") or owner.startswith("_") or depth > 4 or (depth and not owner):
            continue
        arguments = " ".join((found.group("arguments") or "").split()) if found.group("word") == "def" else ""
        label = f"{owner}.{name}" if depth else name
        yield Block("h", label + (arguments if len(arguments) < 200 else "(…)"))
        yield from prose.blocks(found.group("doc"))


def _prose(blocks: list[Block] | tuple[Block, ...]) -> int:
    return sum(len(block.text) for block in blocks if block.kind in {"p", "li", "dd"})
