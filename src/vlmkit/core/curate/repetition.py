"""Repetition within a page, after Gopher (Rae et al. 2021, table A1), as DCLM counts it.

Five quantities, each a fraction with its own bound: lines and paragraphs that occur more than once (by number and by
characters; every occurrence counts), the characters of the most frequent 2-, 3- and 4-gram of words, and the characters
of words that lie in some 5- to 10-gram occurring more than once (each word counted once).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from vlmkit.core.curate.rules import ENDS, Drop
from vlmkit.core.curate.words import segment_words, split_paragraphs

MAX_SEGMENTS, MAX_CHARS = 0.3, 0.2
TOP = {2: 0.2, 3: 0.18, 4: 0.16}
REPEATED = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def massive_web_repetition_filters(text: str, *, skip_paragraph: bool = False) -> str | Drop:
    """Drop pages that repeat themselves; the rule named is the first of the fifteen that says so."""
    if not text:
        return Drop("repetition_line_count", 1.0, MAX_SEGMENTS)
    lines = split_paragraphs(text, "\n")
    paragraphs = [] if skip_paragraph else split_paragraphs(text, "\n\n")
    kinds = [("line", lines)] if skip_paragraph else [("line", lines), ("paragraph", paragraphs)]
    for measure, bound, unit in ((by_count, MAX_SEGMENTS, "count"), (by_chars, MAX_CHARS, "chars")):
        for name, segments in kinds:
            fraction = measure(segments)
            if fraction > bound:
                return Drop(f"repetition_{name}_{unit}", fraction, bound)
    return next((drop for drop in ngram_drops(segment_words(text))), text)


def by_count(segments: list[str]) -> float:
    """Share of segments that occur more than once; a page without any repeats itself wholly, one of one never."""
    return share(segments, lambda _: 1)


def by_chars(segments: list[str]) -> float:
    """Share of the characters that lie in segments occurring more than once."""
    return share(segments, len)


def share(segments: list[str], weight: Callable[[str], int]) -> float:
    """Weight of the segments that occur more than once over the weight of all."""
    if len(segments) < 2:
        return 0.0 if segments else 1.0
    repeated = sum(weight(segment) * count for segment, count in Counter(segments).items() if count > 1)
    return repeated / sum(map(weight, segments))


@dataclass(frozen=True)
class Ngrams:
    """The n-grams of a text's words (W,): the number of each (W - n + 1,), how often each number occurs and where
    first, and the characters of the words."""

    n: int
    number: np.ndarray
    counts: np.ndarray
    first: np.ndarray
    chars: np.ndarray

    def top(self) -> float:
        """The share of the characters that the most frequent n-gram takes, the longest of several such."""
        most = self.counts.max()
        before = np.concatenate([[0], np.cumsum(self.chars)])
        starts = self.first[self.counts == most]
        return int((before[starts + self.n] - before[starts]).max() * most) / int(before[-1])

    def repeated(self) -> float:
        """The share of the characters of words that lie in some n-gram occurring more than once."""
        covered = np.zeros(len(self.chars) + 1, dtype=np.int64)
        starts = np.flatnonzero(self.counts[self.number] > 1)
        np.add.at(covered, starts, 1)
        np.add.at(covered, starts + self.n, -1)
        return int(self.chars[np.cumsum(covered[:-1]) > 0].sum()) / int(self.chars.sum())


def ngrams_of(words: list[str]) -> Iterator[Ngrams]:
    """The n-grams for n from 1 on, until none occurs twice: then no longer one does.

    An n-gram is numbered by the pair (its first n-1 words, its last word), so each n costs one sort of integers.
    """
    numbers: dict[str, int] = {}
    word = np.array([numbers.setdefault(w, len(numbers)) for w in words], dtype=np.int64)
    chars = np.array([len(w) for w in words], dtype=np.int64)
    gram, n = np.zeros(len(words) + 1, dtype=np.int64), 0
    while len(words) > n:
        n += 1
        _, first, gram, counts = np.unique(
            gram[:-1] * len(numbers) + word[n - 1 :], return_index=True, return_inverse=True, return_counts=True
        )
        if counts.max() == 1:
            return
        yield Ngrams(n, gram, counts, first, chars)


def ngram_drops(words: list[str]) -> Iterator[Drop]:
    """The n-gram rules that a page breaks, for n from 2 to 10."""
    for grams in ngrams_of(words):
        n = grams.n
        if n > max(REPEATED):
            return
        if n > 1:
            fraction, bound = (grams.top(), TOP[n]) if n in TOP else (grams.repeated(), REPEATED[n])
            if fraction > bound:
                yield Drop(f"repetition_{'top' if n in TOP else 'repeated'}_{n}gram", fraction, bound)


def repetition_filter(
    text: str, *, granularity: str | int, max_fraction: float, count_characters: bool = True,
    ngram_char_ratio: str | None = None, ignore_case: bool = False,
) -> str | Drop:  # fmt: skip
    """Drop pages of which more than `max_fraction` repeats: lines or paragraphs by their characters or their number, or
    n-grams of words, by the most frequent one (`most_common`, the default up to 4) or by all that repeat (`all`)."""
    if not text:
        return Drop("repetition_filter", 1.0, max_fraction)
    known = text.lower() if ignore_case else text
    if isinstance(granularity, str):
        segments = split_paragraphs(known, ENDS[granularity])
        fraction = (by_chars if count_characters else by_count)(segments) if segments else math.inf
    else:
        found = next((one for one in ngrams_of(segment_words(known)) if one.n == granularity), None)
        most_common = granularity in TOP if ngram_char_ratio is None else ngram_char_ratio == "most_common"
        fraction = 0.0 if found is None else found.top() if most_common else found.repeated()
    return Drop("repetition_filter", fraction, max_fraction) if fraction > max_fraction else text
