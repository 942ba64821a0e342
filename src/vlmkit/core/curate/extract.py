"""The main text of an HTML page, by resiliparse's heuristics (Bevendorff et al. 2018), as DCLM extracts it.

`dclm` takes pages that are valid UTF-8 and drops the others, as DataComp-LM's own extraction does (Li et al. 2024,
section 4.2); `default` finds out the encoding first, so that no page is lost for it.
"""

import re
from collections.abc import Callable

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLParserException

from vlmkit.core.curate.rules import Drop
from vlmkit.core.io.encodings import clean, decode

MAX_NESTING = 5000  # browsers stop at 512; the time of extraction grows with the square: 0.3 s here, minutes at 100,000
Extractor = Callable[[bytes, str], str | Drop]


def extract_default(html: bytes, charset: str) -> str | Drop:
    """Main text of a page in whatever encoding; `charset` is what HTTP says of it."""
    text = decode(html, charset)
    depth = nesting(text) if text.count("<div") > MAX_NESTING else 0
    return main_text(text) if depth <= MAX_NESTING else Drop("too_deep", depth, MAX_NESTING)


def extract_dclm(html: bytes, charset: str) -> str | Drop:
    """Main text of a page that is valid UTF-8; what HTTP says does not count."""
    del charset
    try:
        return main_text(html.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Drop("not_utf8", error.start, len(html))


def nesting(html: str) -> int:
    """How deep `div` elements lie in each other."""
    depth = deepest = 0
    for tag in re.finditer("<(/?)div", html, re.IGNORECASE):
        depth = max(depth - 1, 0) if tag[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest


def main_text(html: str) -> str | Drop:
    """Main text of a page, or a drop when there is none."""
    try:
        text = clean(extract_plain_text(html, main_content=True))
    except HTMLParserException:
        return Drop("not_html", 0, 1)
    return text if text.strip() else Drop("empty_text", 0, 1)


EXTRACTORS: dict[str, Extractor] = {"default": extract_default, "dclm": extract_dclm}
