"""HTML of any sort, whole or damaged, as blocks of text: one scan over the tags, in time linear in the size; compiled,
with plain Python beside.

A block is what a browser shows as one paragraph, item, heading or cell. It knows the element that holds it, and how
much of it is linked. Elements form a tree, without those that are part of a line (`b`, `span`, `a` …). Whatever no
reader sees, such as scripts, is skipped.
"""

import ctypes
import re
from dataclasses import dataclass
from html import unescape

import numpy as np

from vlmkit.cuda.build import load
from vlmkit.cuda.text import encoded, table

SPACE = " \t\n\r\f"
TAG = re.compile(
    r"<(?:(/?)([a-zA-Z][^ \t\n\r\f/>]*+)((?:[^>=]++|=[ \t\n\r\f]*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z))?+)*+)>?"
    r"|(!--)|[!?/][^>]*+>?)"
)
UNSEEN = (
    "audio", "canvas", "iframe", "map", "math", "noembed", "noscript", "object", "script", "select",
    "style", "svg", "template", "textarea", "title", "video", "xmp",
)  # fmt: skip
ENDS = {
    name: re.compile("</" + "".join(f"[{x}{x.upper()}]" for x in name) + r"(?=[ \t\n\r\f/>]|\Z)") for name in UNSEEN
}
INLINE = frozenset((
    "abbr", "acronym", "amp-img", "b", "base", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font",
    "head", "html", "i", "img", "input", "ins", "kbd", "label", "link", "mark", "meta", "nobr", "param", "picture", "q",
    "rb", "s", "samp", "small", "source", "span", "strike", "strong", "sub", "sup", "time", "track", "tt", "u", "use",
    "var", "wbr",
))  # fmt: skip
IMPLIED = {  # what a start tag closes when its end tag was left out
    "li": ("li",), "dt": ("dt", "dd"), "dd": ("dt", "dd"), "tr": ("tr", "td", "th"), "td": ("td", "th"),
    "th": ("td", "th"), "option": ("option",),
}  # fmt: skip
VOID = ("body", "hr", "col", "area", "embed")  # hold nothing
HOLDS = frozenset(("ul", "ol", "dl", "table", "tbody", "thead", "div", "section", "article"))  # no implied end beyond
KINDS = (  # the bits from 1 on of what a name means: csrc/markup.cpp
    INLINE, UNSEEN, HOLDS, ("a",), ("br",), ("rt", "rp"), ("ruby",), VOID, ("p",), ("pre",), ("xmp",),
)  # fmt: skip
CLOSED = tuple(
    dict.fromkeys(name for some in IMPLIED.values() for name in some)
)  # the bits from 16 on; from 24: closes
NAMES = tuple(dict.fromkeys(["body", *(name for kind in KINDS for name in sorted(kind)), *IMPLIED]))
MOST = 1 << 28  # characters of a page: places in it have 32 bits
LETTERS = "".join(f"{name}\0" for name in NAMES).encode("ascii")


def meaning(name: str) -> int:
    """What a name means to compiled code."""
    bits = sum(1 << k for k, kind in enumerate(KINDS) if name in kind)
    closes = sum(1 << CLOSED.index(other) for other in IMPLIED.get(name, ()))
    return bits | (1 << CLOSED.index(name) if name in CLOSED else 0) << 16 | closes << 24


MEANINGS = np.array([meaning(name) for name in NAMES], np.uint32)


@dataclass(slots=True)
class Block:
    """A paragraph of text within an element; `size` and `linked` are counted in bytes of UTF-8, so that a Chinese
    character weighs as much as half a word of English."""

    element: int
    text: str
    size: int
    linked: int


class Tree:
    """The elements of a page, parents before children, as three lists, and its blocks in the order of the page.

    Element 0 is the page itself. While the page is read, `path` holds the open elements and `parts` the text of the
    block in the making.
    """

    def __init__(self) -> None:
        self.tags, self.parents, self.attributes = ["body"], [-1], [""]
        self.blocks: list[Block] = []
        self.path = [0]
        self.opened: dict[str, int] = {}
        self.parts: list[str] = []
        self.linked = 0
        self.link = 0  # length of the path where the open link began, or 0
        self.annotates = False  # inside of what ruby sets above the line

    def write(self, text: str) -> None:
        """Add text to the block."""
        if not self.annotates:
            self.parts.append(text)
            if self.link:
                self.linked += bytes_of(text.strip(SPACE))

    def close_block(self) -> None:
        """What was written becomes a block, white space collapsed as in a browser."""
        raw = "".join(self.parts)
        self.parts.clear()
        if raw and not raw.isspace():
            self.add(self.path[-1], raw, self.linked, pre=bool(self.opened.get("pre")))
        self.linked = 0

    def add(self, element: int, raw: str, linked: int, *, pre: bool) -> None:
        """A block of what was written in an element."""
        if "&" in raw:
            raw = unescape(raw)
        if pre:
            text = raw.strip("\r\n").replace("\v", "\n").replace("\xa0", " ")
        elif "\v" in raw:
            text = "\n".join(filter(None, (" ".join(line.split()) for line in raw.split("\v"))))
        else:
            text = " ".join(raw.split())
        if text and not text.isspace():
            size = bytes_of(text)
            self.blocks.append(Block(element, text, size, min(linked, size)))

    def open(self, tag: str, attributes: str) -> None:
        """A new element; those that it implies the end of are closed."""
        tags, path = self.tags, self.path
        if tag in IMPLIED:
            for k in range(len(path) - 1, max(len(path) - 4, 0), -1):
                name = tags[path[k]]
                if name in IMPLIED[tag]:
                    while len(path) > k:
                        self.opened[tags[path.pop()]] -= 1
                elif name in HOLDS:
                    break
        elif tags[path[-1]] == "p":
            path.pop()
            self.opened["p"] -= 1
        self.parents.append(path[-1])
        path.append(len(tags))
        tags.append(tag)
        self.attributes.append(attributes)
        self.opened[tag] = self.opened.get(tag, 0) + 1

    def close(self, tag: str) -> None:
        """The end of an element and of all within it; an end tag without a start is passed over."""
        if not self.opened.get(tag):
            return
        tags, path, name = self.tags, self.path, ""
        while name != tag:
            name = tags[path.pop()]
            self.opened[name] -= 1
        if len(path) < self.link:
            self.link = 0

    def tag(self, tag: str, attributes: str, *, closing: bool) -> None:
        """One tag that is not passed over."""
        if tag == "a":
            self.link = 0 if closing else len(self.path)
        elif tag == "br":
            self.write("\v")
        elif tag in ("rt", "rp", "ruby"):
            self.annotates = not closing and tag != "ruby"
        else:
            if self.parts:
                self.close_block()
            self.annotates = False
            if closing:
                self.close(tag)
            elif tag not in VOID:
                self.open(tag, attributes)


def scan(html: str) -> Tree:
    """The elements and blocks of a page."""
    found = compiled_scan(html)
    return reference_scan(html) if found is None else found


def compiled_scan(html: str) -> Tree | None:
    """By compiled code; None where plain Python has to serve, as for names beyond ASCII."""
    library = load("markup", "cpu")
    if library is None or len(html) > MOST:
        return None
    most = html.count("<") + 2
    elements, blocks = np.empty((most, 4), np.int32), np.empty((most, 5), np.int32)
    pieces, spelled = np.empty((2 * most, 2), np.int32), np.empty((most, 2), np.int32)
    sizes = (ctypes.c_int64 * 4)()
    door = library.markup_scan_8 if html.isascii() else library.markup_scan_32
    door.restype = ctypes.c_int64
    arrays = (ctypes.c_void_p(some.ctypes.data) for some in (MEANINGS, elements, blocks, pieces, spelled))
    known, size = ctypes.c_int64(len(NAMES)), ctypes.c_int64(len(html))
    if not door(encoded(html), size, table(), LETTERS, known, *arrays, sizes):
        return None
    names = [*NAMES, *(html[begin:end].lower() for begin, end in spelled[: sizes[3]].tolist())]
    texts = ["\v" if begin < 0 else html[begin:end] for begin, end in pieces[: sizes[2]].tolist()]
    tree = Tree()
    tree.tags = [names[number] for number in elements[: sizes[0], 0].tolist()]
    tree.parents = elements[: sizes[0], 1].tolist()
    tree.attributes = [html[begin:end] for begin, end in elements[: sizes[0], 2:].tolist()]
    for element, linked, pre, first, count in blocks[: sizes[1]].tolist():
        raw = texts[first] if count == 1 else "".join(texts[first : first + count])
        tree.add(element, raw, linked, pre=pre > 0)
    return tree


def reference_scan(html: str) -> Tree:
    """Plain Python."""
    tree, place, search = Tree(), 0, TAG.search
    parts, opened = tree.parts, tree.opened
    while match := search(html, place):
        closing, name, attributes, comment = match.groups()
        begin, end = match.span()
        if begin > place:
            text = html[place:begin]
            if parts or not text.isspace() or opened.get("pre"):  # space before a block is not seen
                tree.write(text)
        place = end
        if name:
            if name not in INLINE and (tag := name.lower()) not in INLINE:
                if tag not in ENDS:
                    tree.tag(tag, attributes, closing=bool(closing))
                elif not closing:
                    found = ENDS[tag].search(html, place)
                    stop = found.start() if found else len(html)
                    if tag == "xmp":
                        tree.write(html[place:stop])
                    place = stop
        elif comment:
            place = html.find("-->", place - 2) + 3
            if place < 3:
                place = len(html)
    tree.write(html[place:])
    tree.close_block()
    return tree


def bytes_of(text: str) -> int:
    """Length in UTF-8; half of a surrogate pair has three bytes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
