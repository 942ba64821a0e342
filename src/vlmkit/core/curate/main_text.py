"""The main text of a page, told from navigation, teasers, comments and notes by the place of its paragraphs.

After the blocks are known (`markup.scan`) there are four steps, each linear in the size of the page.
1. Elements whose tag, role, class or id says that they are no part of the text go, unless they hold much of it.
2. The body is the smallest element that holds most of what the paragraphs say (the idea of Readability), sought within
   what is called the article, if there is one; a summary between the main heading and the body belongs to it.
3. Within it, elements that are mostly links go, as do blocks that are mostly links (Kohlschütter et al. 2010).
4. Headings stay when text follows them.
A page on which this leaves little of the text above its end (a forum, a list) is read without the cues of classes, then
whole.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from vlmkit.cuda.markup import Block, Tree, scan

SIDE = frozenset(("nav", "noframes", "aside", "footer", "menu", "dialog", "figure", "figcaption", "button", "address"))
SIDE_ROLES = frozenset((
    "navigation", "banner", "contentinfo", "complementary", "dialog", "alertdialog", "alert", "search", "form", "menu",
    "menubar", "toolbar", "tablist", "tooltip",
))  # fmt: skip
BOILERPLATE = re.compile(
    r"[ck]omm?ent|respond|shar(?:e|ing)|social|relat(?:ed|-)|recommend|popular|read-?more|teaser|side-?bar|footer"
    r"|navi|menu|crumbs?\b|paginat|banner|newsletter|subscri|promo|sponsor|cookie|consent|gdpr|modal|pop-?up"
    r"|overlay|log-?in|sign-?(?:in|up)|feedback|byline|author|timestamp|credit|copyright|disclaim|disclosure"
    r"|caption|photo|gallery|slideshow|carousel|player|callout|hidden|screen-reader|visually"
    r"|\b(?:reply|nav\b|tools?\b|ads?\b|cta|tags?\b|categor|bio\b|meta\b|date\b|embed\b|rating)"
)
OF_THE_WHOLE = re.compile(  # words of a class that tell of the page or of its subject, not of the element
    r"(?<!\S)(?:(?:has|no|not|with|without|is|js|tag|category|status|format|type|field)-\S*"
    r"|\S*\b(?:page|site|layout|template|wrapper|wrap|container|main|body)\b)"
)
ATTRIBUTE = re.compile(r"([^ \t\n\r\f\"'/=]++)(?:[ \t\n\r\f]*+=[ \t\n\r\f]*+(\"[^\"]*+\"?|'[^']*+'?|[^ \t\n\r\f]*+))?+")
CUES = frozenset(("class", "id", "role", "itemprop", "style", "hidden", "aria-hidden"))
ARTICLE = re.compile(r"article|story|entry|\bpost|content|body|\btext")
CAMEL = re.compile("([a-z])([A-Z])")
INVISIBLE = re.compile("[\xad\u200b\ufeff]+")
HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
LINES = frozenset(("p", "li", "td", "th", "dt", "dd", "blockquote", "pre"))  # elements whose text may be short
PARTS = frozenset(("p", "li", "td", "tr", "tbody", "blockquote", "pre"))  # elements that are never the body of a page
# Sizes are bytes of UTF-8. All were chosen on the development pages of benchmarks/results/extract.md; F1 changes by
# 0.01 at most when one is halved or doubled, but for the shares.
MUCH = 0.4  # share of a page's text from which an element is not taken for boilerplate
MOST = 0.75  # share of the paragraphs that the body holds
PARAGRAPH = 50
LEAD = 100  # least of a summary before the body
HEADING = 150  # a longer heading is a paragraph
SHORT = 20
LINKED = 0.5  # share of a block in links
LINKED_PART = 0.3  # the same of an element with less than PART of the text
PART = 0.2
LITTLE = 0.2  # share of what is kept without the cues of classes, up to the same end, below which they are not trusted


def main_text(html: str) -> str:
    """Main text of an HTML page, paragraphs parted by line feeds; empty only if the page shows no text at all."""
    page = Page(scan(html))
    kept = page.main(trusting=True)
    end = kept[-1] + 1 if kept else len(page.blocks)
    if page.size(kept) <= LITTLE * page.size(range(end)):
        all_kept = page.main(trusting=False)
        if page.size(kept) <= LITTLE * page.size(k for k in all_kept if k < end):
            kept = all_kept
    return written(page, kept or range(len(page.blocks)))


class Page:
    """The tree of a page, and for each element the bytes within it that are links, and those that are not (`texts`)."""

    def __init__(self, tree: Tree) -> None:
        self.tags, self.parents, self.attributes, self.blocks = tree.tags, tree.parents, tree.attributes, tree.blocks
        self.texts = self.summed((block.element, block.size - block.linked) for block in self.blocks)
        self.links = self.summed((block.element, block.linked) for block in self.blocks)

    def summed(self, values: Iterable[tuple[int, int]]) -> list[int]:
        """Sums over each element and all within it of values that its blocks have."""
        sums = [0] * len(self.tags)
        for element, value in values:
            sums[element] += value
        for k in range(len(sums) - 1, 0, -1):
            if sums[k]:
                sums[self.parents[k]] += sums[k]
        return sums

    def size(self, kept: Iterable[int]) -> int:
        """Bytes of some blocks."""
        return sum(self.blocks[k].size for k in kept)

    def main(self, *, trusting: bool) -> list[int]:
        """The blocks of the main text; classes and ids count if they are trusted."""
        out = self.boilerplate(trusting=trusting)
        scores = self.summed(
            (block.element, block.size - block.linked)
            for block in self.blocks
            if not out[block.element] and self.is_paragraph(block, PARAGRAPH, LINKED)
        )
        body = self.body(scores)
        self.drop_lists_of_links(out, body, scores)
        inside = self.inside(body, scores, out)
        start = next((k for k, block in enumerate(self.blocks) if inside[block.element]), 0)
        kept = [k for k in range(self.heading_before(start), start) if self.is_lead(k, out)]
        kept += [
            k for k, block in enumerate(self.blocks[start:], start) if inside[block.element] and not out[block.element]
        ]
        return self.with_text_after([k for k in kept if self.is_text(self.blocks[k])])

    def boilerplate(self, *, trusting: bool) -> list[bool]:
        """For each element whether it, or one around it, is no part of the text by its own account."""
        out, much = [False] * len(self.tags), MUCH * self.texts[0]
        paragraphs: dict[str, int] = {}  # text of all `p` that have the same attributes
        for tag, attributes, size in zip(self.tags, self.attributes, self.texts, strict=True):
            if tag == "p" and attributes:
                paragraphs[attributes] = paragraphs.get(attributes, 0) + size
        known: dict[str, bool] = {"": False}
        for k in range(1, len(out)):
            out[k] = out[self.parents[k]]
            if not out[k] and 0 < self.texts[k] <= much:
                attributes = self.attributes[k]
                if attributes not in known:
                    known[attributes] = paragraphs.get(attributes, 0) <= much and is_side(attributes, trusting)
                out[k] = known[attributes] or self.tags[k] in SIDE
        return out

    def body(self, scores: list[int]) -> int:
        """The smallest element that holds MOST of what its parent does, and so on down from the article or root."""
        heaviest: dict[int, int] = {}
        body = 0
        for k in range(1, len(scores)):
            parent = self.parents[k]
            if scores[k] > (scores[heaviest[parent]] if parent in heaviest else 0):
                heaviest[parent] = k
            if scores[k] >= max(MUCH * scores[0], scores[body] if body else 1) and self.is_article(k):
                body = k
        while (child := heaviest.get(body)) and scores[child] >= MOST * scores[body]:
            if self.tags[child] in PARTS:
                break
            body = child
        return body

    def is_article(self, element: int) -> bool:
        """Whether an element says that it holds the text of the page."""
        words = words_of(cues_of(self.attributes[element]))
        return self.tags[element] not in PARTS and ARTICLE.search(words) is not None

    def inside(self, body: int, scores: list[int], out: list[bool]) -> list[bool]:
        """For each element whether it belongs to the body, or to one beside it that says as much as a part of it."""
        inside, around = [False] * len(out), set()
        inside[body], k = True, body
        while k >= 0:
            around.add(k)
            k = self.parents[k]
        for k in range(1, len(out)):
            parent = self.parents[k]
            beside = parent in around and k not in around and scores[k] >= PART * scores[body] and not out[k]
            inside[k] = (
                inside[k] or inside[parent] or (beside and self.links[k] <= PART * (self.links[k] + self.texts[k]))
            )
        return inside

    def drop_lists_of_links(self, out: list[bool], body: int, scores: list[int]) -> None:
        """Elements within the body that are links for the most part, and small."""
        small = PART * scores[body]
        for k in range(body + 1, len(out)):
            out[k] = (
                out[k]
                or out[self.parents[k]]
                or (
                    self.links[k] > LINKED_PART * (self.links[k] + self.texts[k])
                    and scores[k] < small
                    and self.tags[k] not in PARTS
                    and self.tags[k] not in HEADINGS
                )
            )

    def heading_before(self, start: int) -> int:
        """The block after the main heading that precedes a block, or that block itself."""
        for k in range(start - 1, -1, -1):
            element = self.blocks[k].element
            if "h1" in (self.tags[element], self.tags[self.parents[element]]):
                return k + 1
        return start

    def is_paragraph(self, block: Block, least: int, linked: float) -> bool:
        """Whether a block says something of its own, in so many bytes."""
        own = block.size - block.linked
        return own >= least and block.linked < linked * block.size and not self.is_heading(block)

    def is_lead(self, k: int, out: list[bool]) -> bool:
        """Whether a block before the body sums it up."""
        block = self.blocks[k]
        return not out[block.element] and self.is_paragraph(block, LEAD, LINKED_PART)

    def is_heading(self, block: Block) -> bool:
        """Whether a block is a heading, not a paragraph set as one."""
        return self.tags[block.element] in HEADINGS and block.size < HEADING

    def is_text(self, block: Block) -> bool:
        """Whether a block within the body is read as part of it."""
        own = block.size - block.linked
        if self.is_heading(block):
            return True
        if block.linked > LINKED * block.size and own < HEADING:
            return False
        return own >= SHORT or self.tags[block.element] in LINES

    def with_text_after(self, kept: list[int]) -> list[int]:
        """Without what stands before the first sentence, and headings that no text follows."""
        found: list[int] = []
        open_headings: list[int] = []
        for k in kept:
            block = self.blocks[k]
            if self.is_heading(block):
                level = self.tags[block.element]
                open_headings = [h for h in open_headings if self.tags[self.blocks[h].element] < level] + [k]
            elif found or block.size >= SHORT:
                found += [*(open_headings if found else ()), k]
                open_headings = []
        return found


def is_side(attributes: str, trusting: bool) -> bool:
    """Whether an element's attributes say that it is hidden or no part of the main text."""
    cues = cues_of(attributes)
    if cues.get("aria-hidden") == "true" or "hidden" in cues or cues.get("role", "").lower() in SIDE_ROLES:
        return True
    if "display:none" in cues.get("style", "").replace(" ", "").lower():
        return True
    if not trusting:
        return False
    words = words_of(cues)
    return BOILERPLATE.search(words) is not None and BOILERPLATE.search(OF_THE_WHOLE.sub(" ", words)) is not None


def cues_of(attributes: str) -> dict[str, str]:
    """The attributes of an element that tell what it is for; of two with one name the first counts."""
    cues: dict[str, str] = {}
    for name, value in ATTRIBUTE.findall(attributes):
        if (name := name.lower()) in CUES and name not in cues:
            cues[name] = value.strip("\"'")
    return cues


def words_of(cues: Mapping[str, str]) -> str:
    """What an element is called, in lower case, words parted by hyphens."""
    words = " ".join([cues[name] for name in ("class", "id", "itemprop") if name in cues])
    if not words.islower():
        words = CAMEL.sub(r"\1-\2", words).lower()
    return words.replace("_", "-")


def written(page: Page, kept: Sequence[int]) -> str:
    """Blocks as text: a line each, items of lists with a dash, the cells of a row in one line."""
    lines: list[str] = []
    row = item = -1
    for k in kept:
        block = page.blocks[k]
        tag, parent = page.tags[block.element], page.parents[block.element]
        text = block.text if block.text.isascii() else INVISIBLE.sub("", block.text)
        if not text or text.isspace():
            continue
        if tag in ("td", "th") and parent == row:
            lines[-1] += " | " + text
        elif tag == "li" and block.element != item:
            lines.append("- " + text)
            item = block.element
        else:
            lines.append(text)
        row = parent if tag in ("td", "th") else -1
    return "\n".join(lines)
