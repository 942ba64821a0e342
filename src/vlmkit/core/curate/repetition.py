"""Repetition within a page, after Gopher (Rae et al. 2021, table A1), as DCLM counts it.

Five quantities, each a fraction with its own bound: lines and paragraphs that occur more than once (by number and by
characters; every occurrence counts), the characters of the most frequent 2-, 3- and 4-gram of words, and the characters
of words that lie in some 5- to 10-gram occurring more than once (each word counted once).
"""

import functools
import math

from vlmkit.core.curate.rules import ENDS, Found
from vlmkit.cuda.text import LONGEST, Pieces, Repetition, ngrams_of, pieces, repetition
from vlmkit.cuda.words import segment_words, split_paragraphs

MAX_SEGMENTS, MAX_CHARS = 0.3, 0.2
TOP = {2: 0.2, 3: 0.18, 4: 0.16}
REPEATED = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def massive_web_repetition_filters(text: str, *, skip_paragraph: bool = False) -> list[Found]:
    """Drop pages that repeat themselves: each of the fifteen quantities in order."""
    found = repetition(text)
    kinds = [found.lines] if skip_paragraph else [found.lines, found.paragraphs]
    values = [measure(some) for measure in (by_count, by_chars) for some in kinds]
    values += [by_grams(found, n, top=True) for n in TOP]
    values += [by_grams(found, n, top=False) for n in REPEATED]
    return [
        Found(name, value, -math.inf, bound)
        for (name, bound), value in zip(bounds(skip_paragraph), values, strict=True)
    ]


@functools.cache
def bounds(skip_paragraph: bool) -> list[tuple[str, float]]:
    """The quantities with their bounds, in order."""
    kinds = ["line"] if skip_paragraph else ["line", "paragraph"]
    return [
        *((f"repetition_{name}_count", MAX_SEGMENTS) for name in kinds),
        *((f"repetition_{name}_chars", MAX_CHARS) for name in kinds),
        *((f"repetition_top_{n}gram", bound) for n, bound in TOP.items()),
        *((f"repetition_repeated_{n}gram", bound) for n, bound in REPEATED.items()),
    ]


def by_count(some: Pieces) -> float:
    """Share of segments that occur more than once; a page without any repeats itself wholly, one of one never."""
    return some.repeated / some.number if some.number else 1.0


def by_chars(some: Pieces) -> float:
    """Share of the characters that lie in segments occurring more than once."""
    return some.repeated_chars / some.chars if some.number else 1.0


def by_grams(found: Repetition, n: int, *, top: bool) -> float:
    """Share of the words' characters that the most frequent n-gram takes, or all n-grams that occur more than once."""
    return (found.tops if top else found.covered)[n - 1] / found.chars if found.chars else 0.0


def repetition_filter(
    text: str, *, granularity: str | int, max_fraction: float, count_characters: bool = True,
    ngram_char_ratio: str | None = None, ignore_case: bool = False,
) -> Found:  # fmt: skip
    """Drop pages of which more than `max_fraction` repeats: lines or paragraphs by their characters or their number, or
    n-grams of words, by the most frequent one (`most_common`, the default up to 4) or by all that repeat (`all`)."""
    if not text:
        return Found("repetition_filter", math.inf, high=max_fraction)
    known = text.lower() if ignore_case else text
    if isinstance(granularity, str):
        some = pieces(split_paragraphs(known, ENDS[granularity]))
        fraction = (by_chars if count_characters else by_count)(some) if some.number else math.inf
    else:
        most_common = granularity in TOP if ngram_char_ratio is None else ngram_char_ratio == "most_common"
        fraction = share_of(known, granularity, top=most_common)
    return Found("repetition_filter", fraction, high=max_fraction)


def share_of(text: str, n: int, *, top: bool) -> float:
    """Share of the characters that n-grams take, for any n."""
    if 1 <= n <= LONGEST:
        return by_grams(repetition(text), n, top=top)
    words = segment_words(text)
    found = next((one for one in ngrams_of(words) if one.n == n), None)
    return 0.0 if found is None else (found.top() if top else found.covered()) / sum(map(len, words))
