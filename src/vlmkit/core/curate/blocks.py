"""HTML of any sort, whole or damaged, as blocks of text: one scan over the tags, in time linear in the size.

A block is what a browser shows as one paragraph, item, heading or cell. It knows the element that holds it, and how much
of it is linked. Elements form a tree; those within a line (`b`, `span`, `a` …) are part of the text and no elements of it.
Whatever no reader sees, such as scripts, is skipped.
"""

import re
from dataclasses import dataclass, field
from html import unescape

SPACE = " \t\n\r\f"
TAG = re.compile(
    r"<(?:(/?)([a-zA-Z][^ \t\n\r\f/>]*+)((?:[^>=]++|=[ \t\n\r\f]*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z))?+)*+)>?"
    r"|(!--)|[!?/][^>]*+>?)"
)
ATTRIBUTE = re.compile(
    r"(?<![^ \t\n\r\f\"'/])(class|id|role|itemprop|style|hidden|aria-hidden)"
    r"(?:[ \t\n\r\f]*+=[ \t\n\r\f]*+(\"[^\"]*+\"?|'[^']*+'?|[^ \t\n\r\f]*+)|(?=[ \t\n\r\f/]|\Z))",
    re.IGNORECASE,
)
UNSEEN = "audio canvas iframe map math noembed noframes noscript object script select style svg template textarea title video"
ENDS = {
    name: re.compile("</" + "".join(f"[{x}{x.upper()}]" for x in name) + r"(?=[ \t\n\r\f/>]|\Z)")
    for name in [*UNSEEN.split(), "xmp"]
}
INLINE = frozenset(
    [
        "abbr",
        "acronym",
        "amp-img",
        "b",
        "base",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "input",
        "ins",
        "kbd",
        "label",
        "link",
        "mark",
        "meta",
        "nobr",
        "param",
        "picture",
        "q",
        "rb",
        "s",
        "samp",
        "small",
        "source",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "track",
        "tt",
        "u",
        "use",
        "var",
        "wbr",
    ]
)
IMPLIED = {  # what a start tag closes when its end tag was left out
    "li": ("li",), "dt": ("dt", "dd"), "dd": ("dt", "dd"), "tr": ("tr", "td", "th"), "td": ("td", "th"),
    "th": ("td", "th"), "option": ("option",),
}  # fmt: skip
HOLDS = frozenset(
    ["ul", "ol", "dl", "table", "tbody", "thead", "div", "section", "article"]
)  # an implied end goes no further than these


@dataclass(slots=True)
class Element:
    """An element that is no part of a line: its name, the index of its parent (the root's is -1), its attributes."""

    tag: str
    parent: int
    attributes: str = ""


@dataclass(slots=True)
class Block:
    """A paragraph of text in `element`; `size` and `linked` are counted in bytes of UTF-8, so that
    a Chinese character weighs as much as half a word of English."""

    element: int
    text: str
    size: int
    linked: int


@dataclass(slots=True)
class Scan:
    """The state of a scan: the tree so far, the open elements, and the text of the block in the making."""

    elements: list[Element] = field(default_factory=lambda: [Element("body", -1)])
    blocks: list[Block] = field(default_factory=list)
    path: list[int] = field(default_factory=lambda: [0])
    opened: dict[str, int] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    linked: int = 0
    link: int = 0  # length of the path where the open link began, or 0
    reading: bool = True  # no ruby annotation

    def write(self, text: str) -> None:
        """Add text to the block."""
        if self.reading:
            self.parts.append(text)
            if self.link:
                self.linked += bytes_of(text.strip(SPACE))

    def close_block(self) -> None:
        """What was written becomes a block, white space collapsed as in a browser."""
        if not self.parts:
            return
        raw = unescape("".join(self.parts))
        self.parts.clear()
        if self.opened.get("pre"):
            text = raw.strip("\r\n").replace("\v", "\n").replace("\xa0", " ")
        else:
            text = "\n".join(filter(None, (" ".join(line.split()) for line in raw.split("\v"))))
        if text and not text.isspace():
            size = bytes_of(text)
            self.blocks.append(Block(self.path[-1], text, size, min(self.linked, size)))
        self.linked = 0

    def open(self, tag: str, attributes: str) -> None:
        """A new element; those that it implies the end of are closed."""
        elements, path = self.elements, self.path
        if tag in IMPLIED:
            for k in range(len(path) - 1, max(len(path) - 4, 0), -1):
                name = elements[path[k]].tag
                if name in IMPLIED[tag]:
                    while len(path) > k:
                        self.opened[elements[path.pop()].tag] -= 1
                elif name in HOLDS:
                    break
        elif elements[path[-1]].tag == "p":
            self.opened[elements[path.pop()].tag] -= 1
        path.append(len(elements))
        elements.append(Element(tag, path[-2], attributes))
        self.opened[tag] = self.opened.get(tag, 0) + 1

    def close(self, tag: str) -> None:
        """The end of an element and of all within it; an end tag without a start is passed over."""
        if not self.opened.get(tag):
            return
        name = ""
        while name != tag:
            name = self.elements[self.path.pop()].tag
            self.opened[name] -= 1
        if len(self.path) < self.link:
            self.link = 0


def scan(html: str) -> tuple[list[Element], list[Block]]:
    """The elements of a page, parents before children, and its blocks in the order of the page."""
    state, place = Scan(), 0
    while match := TAG.search(html, place):
        if match.start() > place:
            state.write(html[place : match.start()])
        place = match.end()
        closing, name, attributes, comment = match.groups()
        if comment:
            place = html.find("-->", place - 2) + 3
            if place < 3:
                return finished(state)
        elif name:
            tag = name.lower()
            if tag in ENDS and not closing:
                end = ENDS[tag].search(html, place)
                if tag == "xmp":
                    state.write(html[place : end.start() if end else len(html)])
                place = end.start() if end else len(html)
            elif tag not in INLINE:
                step(state, tag, attributes, closing=bool(closing))
    state.write(html[place:])
    return finished(state)


def finished(state: Scan) -> tuple[list[Element], list[Block]]:
    """The tree and the blocks, the last one closed."""
    state.close_block()
    return state.elements, state.blocks


def step(state: Scan, tag: str, attributes: str, *, closing: bool) -> None:
    """One tag of an element that is not passed over."""
    if tag == "a":
        state.link = 0 if closing else len(state.path)
    elif tag in ("rt", "rp"):
        state.reading = closing
    elif tag == "ruby":
        state.reading = True
    elif tag == "br":
        state.write("\v")
    else:
        state.close_block()
        state.reading = True
        if closing:
            state.close(tag)
        elif tag not in ("html", "head", "body", "hr", "col", "area", "embed"):
            state.open(tag, attributes)


def cues_of(attributes: str) -> dict[str, str]:
    """The attributes of an element that tell what it is for."""
    return {name.lower(): (value or "").strip("\"'") for name, value in reversed(ATTRIBUTE.findall(attributes))}


def bytes_of(text: str) -> int:
    """Length in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
