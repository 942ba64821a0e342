"""Repetition within a page, after Gopher (Rae et al. 2021, table A1), as DCLM counts it.

Five quantities, each a fraction with its own bound: lines and paragraphs that occur more than once (by number and by
characters; every occurrence counts), the characters of the most frequent 2-, 3- and 4-gram of words, and the characters
of words that lie in some 5- to 10-gram occurring more than once (each word counted once).
"""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from vlmkit.core.curate.rules import Drop
from vlmkit.core.curate.words import segment_words

MAX_SEGMENTS, MAX_CHARS = 0.3, 0.2
TOP = {2: 0.2, 3: 0.18, 4: 0.16}
REPEATED = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def massive_web_repetition_filters(text: str, *, skip_paragraph: bool = False) -> str | Drop:
    """Drop pages that repeat themselves; the rule named is the first of the fifteen that says so."""
    if not text:
        return Drop("repetition_line_count", 1.0, MAX_SEGMENTS)
    lines = segments_of(text, "\n")
    paragraphs = [] if skip_paragraph else segments_of(text, "\n\n")
    kinds = [("line", lines)] if skip_paragraph else [("line", lines), ("paragraph", paragraphs)]
    for measure, bound, unit in ((by_count, MAX_SEGMENTS, "count"), (by_chars, MAX_CHARS, "chars")):
        for name, segments in kinds:
            fraction = measure(segments)
            if fraction > bound:
                return Drop(f"repetition_{name}_{unit}", fraction, bound)
    return next((drop for drop in ngram_drops(segment_words(text))), text)


def segments_of(text: str, separator: str) -> list[str]:
    """Stripped, non-empty pieces of a text."""
    return [piece for raw in text.split(separator) if (piece := raw.strip())]


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


def ngram_drops(words: list[str]) -> Iterator[Drop]:
    """The n-gram rules that a page breaks, for n from 2 to 10.

    An n-gram is numbered by the pair (its first n-1 words, its last word), so each n costs one sort of integers. Where
    no n-gram occurs twice, no longer one does, and counting ends.
    """
    if not words:
        return
    numbers: dict[str, int] = {}
    word = np.array([numbers.setdefault(w, len(numbers)) for w in words])
    chars = np.array([len(w) for w in words])
    total, before = int(chars.sum()), np.concatenate([[0], np.cumsum(chars)])
    gram = word
    for n in range(2, 11):
        if len(words) < n:
            return
        _, first, gram, counts = np.unique(
            gram[:-1] * len(numbers) + word[n - 1 :], return_index=True, return_inverse=True, return_counts=True
        )
        if counts.max() == 1:
            return
        if n in TOP:
            top = counts.max()
            starts = first[counts == top]
            fraction, bound = int((before[starts + n] - before[starts]).max() * top) / total, TOP[n]
        else:
            covered = np.zeros(len(words) + 1, dtype=np.int64)
            starts = np.flatnonzero(counts[gram] > 1)
            np.add.at(covered, starts, 1)
            np.add.at(covered, starts + n, -1)
            fraction, bound = int(chars[np.cumsum(covered[:-1]) > 0].sum()) / total, REPEATED[n]
        if fraction > bound:
            yield Drop(f"repetition_{'top' if n in TOP else 'repeated'}_{n}gram", fraction, bound)
