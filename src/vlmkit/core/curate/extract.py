"""The main text of an HTML page: by our own reading of its blocks, or as DCLM extracts it.

`default` finds out the encoding, so that no page is lost for it, and takes the text by `main_text`. `dclm` takes pages
that are valid UTF-8 and drops the others, as DataComp-LM's own extraction does (Li et al. 2024, section 4.2), by
resiliparse's heuristics (Bevendorff et al. 2018).
"""

from collections.abc import Callable

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLParserException

from vlmkit.core.curate.main_text import main_text
from vlmkit.core.curate.rules import Drop
from vlmkit.core.io.encodings import clean, decode

Extractor = Callable[[bytes, str], str | Drop]


def extract_default(html: bytes, charset: str) -> str | Drop:
    """Main text of a page in whatever encoding; `charset` is what HTTP says of it."""
    return main_text(decode(html, charset)) or Drop("empty_text", 0, 1)


def extract_dclm(html: bytes, charset: str) -> str | Drop:
    """Main text of a page that is valid UTF-8; what HTTP says does not count."""
    del charset
    try:
        text = clean(extract_plain_text(html.decode("utf-8"), main_content=True))
    except UnicodeDecodeError as error:
        return Drop("not_utf8", error.start, len(html))
    except HTMLParserException:
        return Drop("not_html", 0, 1)
    return text if text.strip() else Drop("empty_text", 0, 1)


EXTRACTORS: dict[str, Extractor] = {"default": extract_default, "dclm": extract_dclm}
