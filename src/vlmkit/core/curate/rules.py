"""Filters of DCLM: what is measured on a text, and the bounds outside of which its page is dropped.

A rule takes a text and gives it back, or a `Drop` that says which rule, what was measured and the bound. Names, keyword
arguments, defaults and edge cases are those of DCLM (Li et al. 2024, "DataComp-LM"), down to which white space
separates words and which bound is strict.
"""

import math
import re
from collections.abc import Sequence
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


def outside(value: float, low: float, high: float) -> float | None:
    """The bound that a value is outside of, or None; not a number is outside of the lower bound."""
    return high if value > high else None if value >= low else low


def bounded(text: str, rule: str, value: float, low: float, high: float) -> str | Drop:
    """The text if its value lies within inclusive bounds."""
    bound = outside(value, low, high)
    return text if bound is None else Drop(rule, value, bound)


def page_length_filter(
    text: str, *, length_type: str, min_length: float = 1, max_length: float = math.inf,
    splitter: Splitter | None = None, **how: Any,
) -> str | Drop:  # fmt: skip
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
    return bounded(text, "page_length_filter", count, min_length, max_length)


def word_length_filter(text: str, *, min_length: float = 0, max_length: float = math.inf) -> str | Drop:
    """Keep pages whose words have so many characters on average, both ends included."""
    found = counts(text)
    mean = found.word_chars / found.words if found.words else math.nan
    return bounded(text, "word_length_filter", mean, min_length, max_length)


def symbol_ratio_filter(text: str, *, max_symbol_to_word_ratio: float = 0.1) -> str | Drop:
    """Drop pages with more than one `#` or ellipsis for ten words."""
    found = counts(text)
    ratio = found.symbols / found.words if found.words else math.nan
    return bounded(text, "symbol_ratio_filter", ratio, 0, max_symbol_to_word_ratio)


def bullet_count_filter(text: str, *, max_bullet_start_ratio: float = 0.9) -> str | Drop:
    """Drop pages of which more than nine lines in ten start with a bullet."""
    found = counts(text)
    if found.bullets > max_bullet_start_ratio * found.lines:
        return Drop("bullet_count_filter", found.bullets / found.lines, max_bullet_start_ratio)
    return text


def ellipsis_count_filter(text: str, *, max_ellipsis_end_ratio: float = 0.3) -> str | Drop:
    """Drop pages of which more than three lines in ten end in an ellipsis."""
    found = counts(text)
    if found.ellipses > max_ellipsis_end_ratio * found.lines:
        return Drop("ellipsis_count_filter", found.ellipses / found.lines, max_ellipsis_end_ratio)
    return text


def alphabetic_word_ratio_filter(text: str, *, max_ratio: float = 0.2) -> str | Drop:
    """Drop pages of which more than one word in five holds no letter."""
    found = counts(text)
    ratio = found.bare_words / found.words if found.words else math.nan
    return bounded(text, "alphabetic_word_ratio_filter", ratio, 0, max_ratio)


def stop_word_filter(text: str, *, count_unique: bool = False, min_stop_word: int = 2) -> str | Drop:
    """Drop pages with fewer than two occurrences of the, be, to, of, and, that, have, with; or with fewer of them."""
    count = counts(text).distinct_stop_words if count_unique else counts(text).stop_words
    return bounded(text, "stop_word_filter", count, max(min_stop_word, 1), math.inf)


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


def substring_filter(text: str, *, pattern: re.Pattern[str], case_sensitive: bool = False) -> str | Drop:
    """Drop pages in which a pattern occurs."""
    found = pattern.search(text if case_sensitive else text.lower())
    return text if found is None else Drop("substring_filter", 1, 0)


def banned_anywhere(
    banlist: Sequence[str], *, location: str = "any", case_sensitive: bool = False, exact_word: bool = False
) -> re.Pattern[str]:
    """The pattern of a ban list for `substring_filter`: its entries are regular expressions, as DCLM takes them."""
    pattern = f"(?:{'|'.join(banlist if case_sensitive else [one.lower() for one in banlist])})"
    pattern = rf"\b{pattern}\b" if exact_word else pattern
    return re.compile({"prefix": "^", "suffix": "", "any": ""}[location] + pattern + "$" * (location == "suffix"))
