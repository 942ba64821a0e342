"""Where the pages of the sample web come from: the documentation installed beside this package.

Packages are read, never imported: their docstrings are taken from the sources with `ast`. Everything is chosen by the
hash of its name, so the same Python and packages give the same pages, and one page in ten is always held out.
"""

import ast
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
PAGE_CHARACTERS = (1_500, 16_000)  # of prose: shorter is no page, longer is cut at a definition
TOPIC_CHARACTERS = 400  # the language reference has short chapters
DOCSTRING = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""', re.DOTALL)


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
        found = tuple(prose.blocks(text))
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
        if sum(map(len, DOCSTRING.findall(source))) < PAGE_CHARACTERS[0]:
            return None
        tree = ast.parse(source)
    except (SyntaxError, ImportError, ValueError):  # a template, or not in the encoding that it declares
        return None
    found: list[Block] = []
    for block in _definitions(tree):
        found.append(block)
        if block.kind == "h" and _prose(found) > PAGE_CHARACTERS[1]:
            break
    if _prose(found) < PAGE_CHARACTERS[0]:
        return None
    first = next((block.text for block in found if block.kind == "p"), "")
    return Page(name, f"{name}: {shorten(first, 80, placeholder='…')}" if first else name, tuple(found))


def _definitions(tree: ast.Module) -> Iterator[Block]:
    """The docstrings of a module, its public classes and functions, and their public methods."""
    yield from prose.blocks(ast.get_docstring(tree) or "")
    for node in tree.body:
        yield from _definition(node, "")


def _definition(node: ast.stmt, prefix: str) -> Iterator[Block]:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
        return
    doc = prose.blocks(ast.get_docstring(node) or "")
    if doc:
        arguments = f"({ast.unparse(node.args)})" if isinstance(node, ast.FunctionDef) else ""
        yield Block("h", prefix + node.name + (arguments if len(arguments) < 200 else "(…)"))
        yield from doc
    if isinstance(node, ast.ClassDef):
        for method in node.body:
            yield from _definition(method, f"{node.name}.")


def _prose(blocks: list[Block] | tuple[Block, ...]) -> int:
    return sum(len(block.text) for block in blocks if block.kind in {"p", "li", "dd"})
