"""Repetition within a page, after Gopher (Rae et al. 2021, table A1), as DCLM counts it.

Five quantities, each a fraction with its own bound: lines and paragraphs that occur more than once (by number and by
characters; every occurrence counts), the characters of the most frequent 2-, 3- and 4-gram of words, and the characters
of words that lie in some 5- to 10-gram occurring more than once (each word counted once).
"""

import math
from collections.abc import Iterator

from vlmkit.core.curate.rules import ENDS, Drop
from vlmkit.cuda.text import LONGEST, Pieces, Repetition, ngrams_of, pieces, repetition
from vlmkit.cuda.words import segment_words, split_paragraphs

MAX_SEGMENTS, MAX_CHARS = 0.3, 0.2
TOP = {2: 0.2, 3: 0.18, 4: 0.16}
REPEATED = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def massive_web_repetition_filters(text: str, *, skip_paragraph: bool = False) -> str | Drop:
    """Drop pages that repeat themselves; the rule named is the first of the fifteen that says so."""
    if not text:
        return Drop("repetition_line_count", 1.0, MAX_SEGMENTS)
    found = repetition(text)
    return next((Drop(*one) for one in measured(found, skip_paragraph=skip_paragraph) if one[1] > one[2]), text)


def measured(found: Repetition, *, skip_paragraph: bool = False) -> Iterator[tuple[str, float, float]]:
    """Each rule, in order, with its value and bound."""
    kinds = {"line": found.lines} if skip_paragraph else {"line": found.lines, "paragraph": found.paragraphs}
    for measure, bound, unit in ((by_count, MAX_SEGMENTS, "count"), (by_chars, MAX_CHARS, "chars")):
        for name, some in kinds.items():
            yield f"repetition_{name}_{unit}", measure(some), bound
    for n, bound in (TOP | REPEATED).items():
        yield f"repetition_{'top' if n in TOP else 'repeated'}_{n}gram", by_grams(found, n, top=n in TOP), bound


def by_count(some: Pieces) -> float:
    """Share of segments that occur more than once; a page without any repeats itself wholly, one of one never."""
    return some.repeated / some.number if some.number else 1.0


def by_chars(some: Pieces) -> float:
    """Share of the characters that lie in segments occurring more than once."""
    return some.repeated_chars / some.chars if some.number else 1.0


def by_grams(found: Repetition, n: int, *, top: bool) -> float:
    """Share of the words' characters that the most frequent n-gram takes, or all n-grams that occur more than once."""
    grams = found.grams[n - 1]
    return (grams.top if top else grams.covered) / found.chars if found.chars else 0.0


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
        some = pieces(split_paragraphs(known, ENDS[granularity]))
        fraction = (by_chars if count_characters else by_count)(some) if some.number else math.inf
    else:
        most_common = granularity in TOP if ngram_char_ratio is None else ngram_char_ratio == "most_common"
        fraction = share_of(known, granularity, top=most_common)
    return Drop("repetition_filter", fraction, max_fraction) if fraction > max_fraction else text


def share_of(text: str, n: int, *, top: bool) -> float:
    """Share of the characters that n-grams take, for any n."""
    if 1 <= n <= LONGEST:
        return by_grams(repetition(text), n, top=top)
    words = segment_words(text)
    found = next((one for one in ngrams_of(words) if one.n == n), None)
    return 0.0 if found is None else (found.top() if top else found.covered()) / sum(map(len, words))
