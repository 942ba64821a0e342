"""Paragraphs and pages that repeat earlier ones, by n-grams in a Bloom filter: BFF's `old-both`, as DCLM uses it.

Words are the segments of UAX 29 that are not white space, case and punctuation kept. A page is cut before each line
feed. Paragraph by paragraph, a share of its 13-grams above 0.8 (strictly) that the filter has seen removes it, and its
n-grams are not added; those of all others are, also for the page's own later paragraphs. A page is dropped when that
share of all its n-grams had been seen. Paragraphs shorter than an n-gram have no share and stay.

BFF itself draws the seeds of its hashes and takes files in any order, so no two of its runs agree. Here the hashes are
fixed and pages come in the order of the corpus; the size follows from the number of n-grams, counted beforehand.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vlmkit.cuda import ngrams as compiled
from vlmkit.cuda.ngrams import grams, mix
from vlmkit.cuda.words import split_words

NGRAM = 13
PLACES = np.random.Generator(np.random.PCG64([13, NGRAM])).integers(0, 1 << 64, NGRAM, dtype=np.uint64) | np.uint64(1)
PIECE = 1 << 20  # bytes of a filter that are counted at once: counts take as much again
SECOND = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: seeds the second hash


def cut(text: str) -> list[str]:
    """The paragraphs of a page: each but the first begins with the line feed before it."""
    first, *others = text.split("\n")
    return [first, *(f"\n{other}" for other in others)]


def ngrams(paragraph: str) -> np.ndarray:
    """The hash of each 13-gram of words of a paragraph, uint64 (n,), in order; empty for one of fewer words."""
    return grams(split_words(paragraph, model="uniseg"), PLACES)


def count_ngrams(text: str) -> int:
    """How many n-grams a page may add to the filter."""
    count = compiled.count(text, NGRAM)
    if count is not None:
        return count
    return sum(max(0, len(split_words(one, model="uniseg")) - NGRAM + 1) for one in cut(text))


def bits_for(expected: int, *, rate: float) -> int:
    """The bits of a filter that holds so many different entries at a false-positive rate."""
    return max(64, math.ceil(-max(1, expected) * math.log(rate) / math.log(2) ** 2))


class Filter:
    """A Bloom filter (Bloom 1970) of 64-bit hashes, with the bits and hash functions that hold `expected` different
    entries at a false-positive rate of `rate`; the k places of an entry come from two hashes (Kirsch and Mitzenmacher
    2006)."""

    def __init__(self, expected: int, *, rate: float) -> None:
        bits = bits_for(expected, rate=rate)
        self.bits = np.uint64(bits)
        self.hashes = max(1, round(bits / max(1, expected) * math.log(2)))
        self.bytes = np.zeros((bits + 7) // 8, np.uint8)

    def places(self, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The byte and the bit in it (n, k) of each place of entries (n,)."""
        steps = np.arange(self.hashes, dtype=np.uint64)
        places = (entries[:, None] + steps * (mix(entries ^ SECOND) | np.uint64(1))[:, None]) % self.bits
        return places >> np.uint64(3), np.left_shift(np.uint8(1), (places & np.uint64(7)).astype(np.uint8))

    def holds(self, entries: np.ndarray) -> np.ndarray:
        """Whether entries (n,) have been added, or look as if."""
        at, bit = self.places(entries)
        return np.asarray((self.bytes[at] & bit != 0).all(1))

    def add(self, entries: np.ndarray) -> None:
        """Add entries (n,)."""
        at, bit = self.places(entries)
        np.bitwise_or.at(self.bytes, at, bit)

    @property
    def full(self) -> float:
        """The share of the bits that are set; to the power of the number of hashes, the false-positive rate."""
        pieces = (self.bytes[start : start + PIECE] for start in range(0, self.bytes.size, PIECE))
        return sum(int(np.bitwise_count(piece).sum(dtype=np.int64)) for piece in pieces) / int(self.bits)


@dataclass
class OldBoth:
    """`old-both` over pages in order: what is left of each, and how many paragraphs went."""

    seen: "Filter | ExactSet"
    threshold: float = 0.8
    removed: int = 0

    def __call__(self, text: str) -> tuple[str, float]:
        """What is left of a page, nothing where it is dropped, and the share of its n-grams that had been seen."""
        gone, total, known = self.judge(text)
        share = known / total if total else 0.0
        if share > self.threshold:
            return "", share
        removed = sum(gone)
        self.removed += removed
        return "".join(one for one, goes in zip(cut(text), gone, strict=True) if not goes) if removed else text, share

    def judge(self, text: str) -> tuple[Sequence[int], int, int]:
        """For each paragraph of a text whether it goes; all n-grams, and those that had been seen. Those of paragraphs
        that stay are added."""
        if isinstance(self.seen, Filter):
            seen = self.seen
            found = compiled.old_both(
                text, text.count("\n") + 1, PLACES, self.threshold, seen.bytes, bits=int(seen.bits), hashes=seen.hashes
            )
            if found is not None:
                return found
        verdicts, total, known = [], 0, 0
        for paragraph in cut(text):
            entries = ngrams(paragraph)
            contained = int(self.seen.holds(entries).sum()) if entries.size else 0
            total, known = total + entries.size, known + contained
            verdicts.append(int(entries.size and contained / entries.size > self.threshold))
            if entries.size and not verdicts[-1]:
                self.seen.add(entries)
        return verdicts, total, known


class ExactSet:
    """A set in the place of a filter: no false positives, and as much memory as there are n-grams."""

    def __init__(self, entries: Iterable[int] = ()) -> None:
        self._entries = set(entries)

    def holds(self, entries: np.ndarray) -> np.ndarray:
        """Whether entries (n,) have been added."""
        return np.array([one in self._entries for one in entries.tolist()], bool)

    def add(self, entries: np.ndarray) -> None:
        """Add entries (n,)."""
        self._entries.update(entries.tolist())
