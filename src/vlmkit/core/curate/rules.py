"""Filters of DCLM: what is measured on a text, and the bounds outside of which its page is dropped.

A rule takes a text and gives what it `Found`: what was measured, kept or not, and the bounds; `judged` says whether the
page goes, by a `Drop`. Names, keyword arguments, defaults and edge cases are those of DCLM (Li et al. 2024,
"DataComp-LM"), down to which white space separates words and which bound is strict.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from vlmkit.core.curate.sentences import Splitter
from vlmkit.cuda.text import counts
from vlmkit.cuda.words import split_paragraphs, split_words

ENDS = {"line": "\n", "paragraph": "\n\n"}


class Drop(NamedTuple):
    """Why a document is dropped: the rule, the value measured on it, and the bound that the value is outside of."""

    rule: str
    value: float
    threshold: float


class Found(NamedTuple):
    """What a rule measured on a document, and the bounds within which it stays; `strict` ones leave out their ends."""

    rule: str
    value: float
    low: float = -math.inf
    high: float = math.inf
    strict: bool = False

    def drop(self) -> Drop | None:
        """Why the document goes; not a number is outside of any bounds."""
        value, low, high = self.value, self.low, self.high
        if low < value < high or (not self.strict and low <= value <= high):
            return None
        above = value > high or (value == high and self.strict) or math.isinf(low)
        return Drop(self.rule, value, high if above else low)


def judged(found: Drop | Found | Iterable[Found] | None) -> Drop | None:
    """The first reason to drop in what an operation or a rule found."""
    if found is None or isinstance(found, Drop):
        return found
    for one in (found,) if isinstance(found, Found) else found:
        if not one.low < one.value < one.high and (drop := one.drop()):
            return drop
    return None


def page_length_filter(
    text: str, *, length_type: str, min_length: float = 1, max_length: float = math.inf,
    splitter: Splitter | None = None, **how: Any,
) -> Found:  # fmt: skip
    """Keep pages of so many words, lines, paragraphs, sentences or characters, both ends included.

    `how` goes to what cuts words (`model`, `ignore_punctuation`, `ignore_whitespace`) or lines (`remove_empty`);
    sentences need a `splitter`.
    """
    if length_type == "word":
        count = number_of_words(text, **how)
    elif length_type in ENDS:
        count = len(split_paragraphs(text, ENDS[length_type], **how))
    elif length_type == "sentence":
        assert splitter is not None, "sentences need a splitter"
        count = len(splitter(text))
    else:
        count = len(text)
    return Found("page_length_filter", count, min_length, max_length)


def word_length_filter(text: str, *, min_length: float = 0, max_length: float = math.inf) -> Found:
    """Keep pages whose words have so many characters on average, both ends included."""
    found = counts(text)
    mean = found.word_chars / found.words if found.words else math.nan
    return Found("word_length_filter", mean, min_length, max_length)


def symbol_ratio_filter(text: str, *, max_symbol_to_word_ratio: float = 0.1) -> Found:
    """Drop pages with more than one `#` or ellipsis for ten words."""
    found = counts(text)
    ratio = found.symbols / found.words if found.words else math.nan
    return Found("symbol_ratio_filter", ratio, high=max_symbol_to_word_ratio)


def bullet_count_filter(text: str, *, max_bullet_start_ratio: float = 0.9) -> Found:
    """Drop pages of which more than nine lines in ten start with a bullet."""
    found = counts(text)
    return of_lines("bullet_count_filter", found.bullets, found.lines, max_bullet_start_ratio)


def ellipsis_count_filter(text: str, *, max_ellipsis_end_ratio: float = 0.3) -> Found:
    """Drop pages of which more than three lines in ten end in an ellipsis."""
    found = counts(text)
    return of_lines("ellipsis_count_filter", found.ellipses, found.lines, max_ellipsis_end_ratio)


def of_lines(rule: str, count: int, lines: int, bound: float) -> Found:
    """A share of lines that DCLM judges by count > bound * lines; where rounding makes that another answer than the
    quotient gives, for the bound or for one that is the quotient, it is moved to the other side of it, or onto it."""
    share = count / lines if lines else 0.0
    if count > share * lines:
        share = math.nextafter(share, math.inf)
    if (count > bound * lines) != (share > bound):
        share = bound if share > bound else math.nextafter(bound, math.inf)
    return Found(rule, share, high=bound)


def alphabetic_word_ratio_filter(text: str, *, max_ratio: float = 0.2) -> Found:
    """Drop pages of which more than one word in five holds no letter."""
    found = counts(text)
    ratio = found.bare_words / found.words if found.words else math.nan
    return Found("alphabetic_word_ratio_filter", ratio, high=max_ratio)


def stop_word_filter(text: str, *, count_unique: bool = False, min_stop_word: int = 2) -> Found:
    """Drop pages with fewer than two occurrences of the, be, to, of, and, that, have, with; or with fewer of them."""
    count = counts(text).distinct_stop_words if count_unique else counts(text).stop_words
    return Found("stop_word_filter", count, max(min_stop_word, 1))


def removed_share(text: str, previous: int, **how: Any) -> float:
    """The share of the words counted before that is gone; all of it where there were none."""
    how = {"ignore_punctuation": True} | how
    return (previous - number_of_words(text, **how)) / previous if previous else math.inf


def number_of_words(
    text: str, *, model: str = "fasttext", ignore_punctuation: bool = False, ignore_whitespace: bool = True
) -> int:
    """How many words DCLM cuts a text into; those that nearly all its rules count are measured with the rest."""
    if model == "fasttext" and ignore_punctuation and ignore_whitespace:
        return counts(text).fasttext_words
    return len(
        split_words(text, model=model, ignore_punctuation=ignore_punctuation, ignore_whitespace=ignore_whitespace)
    )


def substring_filter(text: str, *, pattern: re.Pattern[str], case_sensitive: bool = False) -> Found:
    """Drop pages in which a pattern occurs."""
    return Found("substring_filter", pattern.search(text if case_sensitive else text.lower()) is not None, high=0)


def banned_anywhere(
    banlist: Sequence[str], *, location: str = "any", case_sensitive: bool = False, exact_word: bool = False
) -> re.Pattern[str]:
    """The pattern of a ban list for `substring_filter`: its entries are regular expressions, as DCLM takes them."""
    pattern = f"(?:{'|'.join(banlist if case_sensitive else [one.lower() for one in banlist])})"
    pattern = rf"\b{pattern}\b" if exact_word else pattern
    return re.compile({"prefix": "^", "suffix": "", "any": ""}[location] + pattern + "$" * (location == "suffix"))
