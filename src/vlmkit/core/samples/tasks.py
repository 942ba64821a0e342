"""Small evaluation tasks made from pages that no sample model has seen, in the four forms of DCLM's task files.

Each row is drawn with a generator seeded by the task's name, so a task is the same whenever the pages are.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterator, Sequence

from vlmkit.core.samples import prose
from vlmkit.core.samples.sources import Page

Row = dict[str, object]
FUNCTION_WORDS = (
    "the",
    "of",
    "to",
    "in",
    "is",
    "and",
    "for",
    "that",
    "with",
    "be",
    "are",
    "by",
    "this",
    "from",
    "not",
    "if",
)
WORD = re.compile(r"\b[A-Za-z]{4,12}\b")


def make_tasks(pages: Sequence[Page], *, shown: Sequence[Page], rows: int) -> dict[str, list[Row]]:
    """Every task with up to `rows` rows, by name; paragraphs that stand on a shown page too are not used."""
    known = {sentence for page in shown for paragraph in prose.sentences(page.blocks) for sentence in paragraph}
    paragraphs = [p for page in pages for p in prose.sentences(page.blocks) if not known.intersection(p)]
    made: dict[str, list[Row]] = {}
    for name, make in TASKS.items():
        shuffled, draw = list(paragraphs), random.Random(name)
        draw.shuffle(shuffled)
        found: list[Row] = []
        for row in make(shuffled, draw):
            if row not in found:
                found.append(row)
            if len(found) == rows:
                break
        made[name] = found
    return made


def next_sentence(paragraphs: list[list[str]], draw: random.Random) -> Iterator[Row]:
    """Multiple choice: which of four sentences of like length follows? The others begin other paragraphs."""
    others = sorted(
        {sentence for paragraph in paragraphs for sentence in paragraph[1:]}, key=lambda text: (len(text), text)
    )
    for paragraph in paragraphs:
        if len(paragraph) < 2:
            continue
        at = draw.randrange(1, len(paragraph))
        right = paragraph[at]
        place = others.index(right)
        near = [text for text in others[max(0, place - 12) : place + 13] if text not in paragraph]
        if len(near) >= 3:
            yield _choice(" ".join(paragraph[max(0, at - 3) : at]), right, draw.sample(near, 3), draw)


def word_order(paragraphs: list[list[str]], draw: random.Random) -> Iterator[Row]:
    """Multiple choice: the sentence as it was written, or with a few of its words exchanged?"""
    for paragraph in paragraphs:
        if len(paragraph) < 2 or len(paragraph[1].split()) < 8:
            continue
        words = paragraph[1].split()
        swapped = list(words)
        for at in draw.sample(range(1, len(words) - 2), 2):
            swapped[at], swapped[at + 1] = swapped[at + 1], swapped[at]
        if swapped != words:
            yield _choice(paragraph[0], " ".join(words), [" ".join(swapped)], draw)


def small_word(paragraphs: list[list[str]], draw: random.Random) -> Iterator[Row]:
    """Multiple choice: which of four small words stands here? Each choice goes on to the end of the sentence."""
    for paragraph in paragraphs:
        words = paragraph[0].split()
        places = [at for at, word in enumerate(words[2:-3], start=2) if word in FUNCTION_WORDS]
        if not places:
            continue
        at = draw.choice(places)
        wrong = draw.sample([word for word in FUNCTION_WORDS if word != words[at]], 3)
        rest = " ".join(words[at + 1 :])
        yield _choice(" ".join(words[:at]), f"{words[at]} {rest}", [f"{word} {rest}" for word in wrong], draw)


def last_word(paragraphs: list[list[str]], draw: random.Random) -> Iterator[Row]:
    """Language modelling: the last word of a passage, which the passage holds before."""
    for paragraph in paragraphs:
        text = " ".join(paragraph[:4])
        seen: set[str] = set()
        ends: list[int] = []
        for found in WORD.finditer(text):
            if found.group() in seen and found.start() > 80 and text[found.start() - 1] == " ":
                ends.append(found.end())
            seen.add(found.group())
        if ends:
            context, _, word = text[: draw.choice(ends)].rpartition(" ")
            yield {"context": context, "continuation": word}


def right_context(paragraphs: list[list[str]], draw: random.Random) -> Iterator[Row]:
    """Schema: after which of two sentences does the continuation stand?"""
    for paragraph, other in itertools.pairwise(paragraphs):
        if len(paragraph) < 2 or set(paragraph) & set(other):
            continue
        options = [paragraph[0], other[0]]
        gold = draw.randrange(2)
        yield {"context_options": options if gold == 0 else options[::-1], "continuation": paragraph[1], "gold": gold}


TASKS: dict[str, Callable[[list[list[str]], random.Random], Iterator[Row]]] = {
    "pages_next_sentence": next_sentence,
    "pages_word_order": word_order,
    "pages_small_word": small_word,
    "pages_last_word": last_word,
    "pages_right_context": right_context,
}


def _choice(query: str, right: str, wrong: Sequence[str], draw: random.Random) -> Row:
    gold = draw.randrange(len(wrong) + 1)
    choices = [*wrong[:gold], right, *wrong[gold:]]
    return {"query": query, "choices": choices, "gold": gold}
