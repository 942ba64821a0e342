"""Rules on the shares of lines and marks of a page, for recipes other than DCLM's.

FineWeb (Penedo et al. 2024, section 3.4) found three by comparing good text with bad: few lines that end a sentence,
characters in repeated lines, and many short lines; each drops a page whose share is at the bound or beyond. Gopher (Rae
et al. 2021, A.1.1) bounds hashes and ellipses each by itself, and C4 (Raffel et al. 2020) counts the sentences of each
line.
"""

import math
from collections.abc import Sequence
from functools import cache

import regex

from vlmkit.core.curate.operations import Operation, Setting, applied
from vlmkit.core.curate.rules import Found
from vlmkit.core.curate.sentences import splitter

SENTENCE_END = regex.compile(r"\p{Sentence_Terminal}")


def line_end_filter(text: str, *, min_ratio: float = 0.12) -> Found:
    """Drop pages of which no more than this share of the lines end in a mark that ends sentences."""
    lines = filled(text)
    ends = sum(ends_sentence(line[-1]) for line in lines)
    return Found("line_end_filter", share(ends, len(lines)), low=min_ratio, strict=True)


def repeated_line_filter(text: str, *, max_ratio: float = 0.1) -> Found:
    """Drop pages with this share of their characters, or more, in lines that an earlier line equals."""
    lines = filled(text)
    repeated = sum(map(len, lines)) - sum(map(len, set(lines)))
    return Found("repeated_line_filter", share(repeated, len(text) - text.count("\n")), high=max_ratio, strict=True)


def short_line_filter(text: str, *, max_ratio: float = 0.67, shorter_than: int = 30) -> Found:
    """Drop pages of which this share of the lines, or more, have fewer than so many characters."""
    lines = filled(text)
    short = sum(len(line) < shorter_than for line in lines)
    return Found("short_line_filter", share(short, len(lines)), high=max_ratio, strict=True)


def symbol_share_filter(text: str, *, symbols: Sequence[str], max_ratio: float = 0.1) -> Found:
    """Drop pages with more of these symbols, taken together, than this share of the words."""
    listed = [symbols] if isinstance(symbols, str) else symbols
    ratio = share(sum(map(text.count, listed)), len(text.split()))
    return Found("symbol_share_filter", ratio, high=max_ratio)


def line_sentence_filter(
    setting: Setting, min_length: float = 1, max_length: float = math.inf, tokenizer: str = "nltk",
    tokenizer_lang: str | None = None,
) -> Operation:  # fmt: skip
    """Drops pages with fewer or more sentences, each line cut by itself; `nltk` without a language is an untrained
    Punkt, which needs no file."""
    split = splitter(tokenizer, tokenizer_lang, setting.assets)

    def rule(text: str) -> Found:
        count = sum(len(split(line)) for line in filled(text))
        return Found("line_sentence_filter", count, min_length, max_length)

    return applied(rule)


def filled(text: str) -> list[str]:
    """The lines that are not blank."""
    return [line for line in text.split("\n") if line.strip()]


def share(count: int, of: int) -> float:
    """A share; not a number of nothing."""
    return count / of if of else math.nan


@cache
def ends_sentence(char: str) -> bool:
    """Whether a character ends sentences, by its Unicode property Sentence_Terminal."""
    return SENTENCE_END.match(char) is not None
