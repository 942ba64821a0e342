"""Docstrings as prose: reStructuredText, NumPy and Google style become paragraphs, lists, definitions and code.

A web page of documentation is made of the same blocks, so `html` renders them, and `sentences` takes the running prose
out of them again, without a second parser.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from inspect import cleandoc
from itertools import takewhile
from typing import Literal

RULE = re.compile(r"^([=\-~^*#+\"])\1{2,}$")
BULLET = re.compile(r"^([*\-•]|\d{1,2}[.)]|\(\d{1,2}\))\s+")
TERM = re.compile(r"^[*\w][\w.*, \[\]]{0,60}(\([^()]{0,80}\))? ?:( .{0,120})?$")
DIRECTIVE = re.compile(r"^\.\. ([\w-]+)::\s*(.*)$")
ROLE = re.compile(r":(?:\w+:)?\w+:`~?([^`<]+?)\s*(?:<[^`>]*>)?`")
LINK = re.compile(r"`([^`<]+?)\s*<[^`>]+>`_{1,2}")
LITERAL = re.compile(r"``([^`]+)``|`([^`]+)`_{0,2}")
STRONG = re.compile(r"\*\*([^*\s][^*]*)\*\*|(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])")
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|al|Fig|Eq|resp|approx|No|Dr|St)|\b[A-Z])\.$")
SECTION = re.compile(
    r"(Args|Arguments|Parameters|Returns?|Raises|Yields|Examples?|Notes?|Attributes|Inputs?|Outputs?|Usage"
    r"|Keyword (args|arguments)):$",
    re.IGNORECASE,
)
NOTES = {"note", "warning", "tip", "important", "seealso", "attention", "caution", "hint"}
RUN, REPEATED = 5, 0.3  # a block whose runs of so many words the page has had before, by this share, says nothing new
VERSIONS = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
}
SKIPPED = {"image", "figure", "plot", "autosummary", "toctree", "index", "currentmodule", "module", "highlight", "math"}


@dataclass(frozen=True)
class Block:
    """One block of a page; `text` is plain prose, or the code as it stands; a term's explanation is a `dd`."""

    kind: Literal["h", "p", "li", "dt", "dd", "pre"]
    text: str


def blocks(doc: str) -> list[Block]:
    """The blocks of a docstring, in order."""
    found: list[Block] = []
    code, depth = False, 0  # whether the paragraph before announced code, and how far it was indented
    for chunk in re.split(r"\n[ \t]*\n", cleandoc(doc.replace("\f", ""))):
        lines = [line.rstrip() for line in chunk.expandtabs().splitlines() if line.strip()]
        if not lines:
            continue
        if code and _depth(lines[0]) > depth and not BULLET.match(lines[0].strip()):
            found.append(Block("pre", cleandoc("\n" + "\n".join(lines))))
            continue
        code, depth = lines[-1].endswith(":"), _depth(lines[-1])
        found.extend(_chunk(lines))
    return found


def tidy(page: Iterable[Block]) -> list[Block]:
    """The blocks as an editor would leave them: what the page has said already is not said again, and a term whose
    explanation was left out goes too."""
    kept: list[Block] = []
    seen: set[tuple[str, ...]] = set()
    for block in page:
        words = block.text.split()
        runs = [tuple(words[at : at + RUN]) for at in range(max(1, len(words) - RUN + 1))]
        if block.kind not in {"dt", "pre"} and sum(run in seen for run in runs) > REPEATED * len(runs):
            continue
        if block.kind != "dd" and kept and kept[-1].kind == "dt":
            kept.pop()
        if block.kind != "dt":
            seen.update(runs)
        kept.append(block)
    return kept


def html(page: Iterable[Block]) -> str:
    """The blocks as HTML; a term and its explanation are one item of a list."""
    parts: list[str] = []
    listed, term = False, ""
    for block in page:
        text = escape(block.text, quote=False)
        if block.kind == "dt":
            term = f"<b>{text}</b>: "
            continue
        inside = block.kind in {"li", "dd"}
        if inside != listed:
            parts.append("<ul>" if inside else "</ul>")
            listed = inside
        tag = {"h": "h3", "dd": "li"}.get(block.kind, block.kind)
        parts.append(f"<{tag}>{term if inside else ''}{text}</{tag}>")
        term = ""
    return "\n".join([*parts, "</ul>"] if listed else parts)


def sentences(page: Iterable[Block]) -> Iterator[list[str]]:
    """The sentences of each running paragraph: whole ones, of 6 to 60 words of mostly letters."""
    for block in page:
        if block.kind not in {"p", "dd", "li"}:
            continue
        kept: list[str] = []
        for sentence in split_sentences(block.text):
            words = sentence.split()
            letters = sum(character.isalpha() or character == " " for character in sentence)
            if (
                6 <= len(words) <= 60
                and sentence[-1] in ".!?"
                and sentence[0].isupper()
                and letters > 0.9 * len(sentence)
            ):
                kept.append(sentence)
            elif kept:
                break
        if kept:
            yield kept


def split_sentences(text: str) -> list[str]:
    """A paragraph cut at full stops that are not those of an abbreviation."""
    cut: list[str] = []
    for piece in SENTENCE.split(text):
        if cut and ABBREVIATION.search(cut[-1]):
            cut[-1] += " " + piece
        else:
            cut.append(piece)
    return [piece.strip() for piece in cut if piece.strip()]


def _chunk(lines: list[str]) -> Iterator[Block]:
    """The blocks between two blank lines."""
    if lines[0].lstrip().startswith((">>>", "$ ", "+--", "|", "===", "...")):
        yield Block("pre", cleandoc("\n" + "\n".join(lines)))
        return
    directive = DIRECTIVE.match(lines[0].strip())
    if directive:
        yield from _directive(directive, lines[1:])
        return
    if lines[0].startswith(".. "):
        return
    if len(lines) > 1 and RULE.match(lines[1].strip()):
        yield Block("h", _inline(lines[0].strip()))
        yield from _chunk(lines[2:]) if len(lines) > 2 else ()
    elif SECTION.match(lines[0].strip()):
        yield Block("h", lines[0].strip().removesuffix(":"))
        own = list(takewhile(lambda line: not SECTION.match(line.strip()), lines[1:]))
        terms = [line for line in own if _depth(line) == _depth(own[0])]
        if terms and all(TERM.match(line.strip()) for line in terms):
            yield from _definitions(lines[1:])
        elif terms:
            yield from _chunk(lines[1:])
    elif TERM.match(lines[0].strip()) and len(lines) > 1 and _depth(lines[1]) > _depth(lines[0]):
        yield from _definitions(lines)
    elif BULLET.match(lines[0].strip()):
        yield from _items(lines)
    else:
        yield from _paragraph(lines)


def _paragraph(lines: list[str]) -> Iterator[Block]:
    """Running text; a list, a doctest or a section may begin inside it."""
    for at, line in enumerate(lines):
        if at and (BULLET.match(line.strip()) or line.lstrip().startswith(">>>") or SECTION.match(line.strip())):
            yield from _text("p", lines[:at])
            yield from _chunk(lines[at:])
            return
    yield from _text("p", lines)


def _definitions(lines: list[str]) -> Iterator[Block]:
    """NumPy's `name : type` or Google's `Args:` with what is indented below."""
    base = _depth(lines[0])
    body: list[str] = []
    for at, line in enumerate(lines):
        if SECTION.match(line.strip()) and at:
            yield from _text("dd", body)
            yield from _chunk(lines[at:])
            return
        if _depth(line) <= base:
            yield from _text("dd", body)
            body = []
            yield from _text("dt", [line])
        else:
            body.append(line)
    yield from _text("dd", body)


def _items(lines: list[str]) -> Iterator[Block]:
    item: list[str] = []
    for line in lines:
        if BULLET.match(line.strip()):
            yield from _text("li", item)
            item = [BULLET.sub("", line.strip())]
        else:
            item.append(line)
    yield from _text("li", item)


def _directive(found: re.Match[str], body: list[str]) -> Iterator[Block]:
    name, rest = found.group(1), found.group(2)
    if name in VERSIONS:
        yield from _text("p", [f"{VERSIONS[name]} {rest}{':' if body else '.'}", *body])
    elif name in NOTES:
        yield from _text("p", [f"{name.capitalize()}: {rest}", *body])
    elif name not in SKIPPED and body:
        yield Block("pre", cleandoc("\n" + "\n".join(body)))


def _text(kind: Literal["p", "li", "dt", "dd"], lines: list[str]) -> Iterator[Block]:
    text = _inline(" ".join(line.strip() for line in lines)).strip()
    if text:
        yield Block(kind, text)


def _inline(text: str) -> str:
    """Plain words: roles, links, literals and emphasis without their marks."""
    text = ROLE.sub(r"\1", text)
    text = LINK.sub(r"\1", text)
    text = LITERAL.sub(lambda found: found.group(1) or found.group(2), text)
    text = STRONG.sub(lambda found: found.group(1) or found.group(2), text)
    return " ".join(re.sub(r"::$", ":", text).replace("\\", "").split())


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
