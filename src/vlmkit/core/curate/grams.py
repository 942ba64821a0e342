"""Hashes of words and of runs of words, computed for whole batches of texts at once.

Words are runs of letters, digits and marks, without case and in Unicode's compatibility form (NFKC); punctuation parts
them and does not count. In scripts that set no spaces between words every character is one. A word's hash is
sum_i m(c_i) r_i over its characters, m a random function and r_i odd; that of a run of words sum_k mix(h_k) q_k.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from vlmkit.cuda.ngrams import mix

PLANES = 0x32400  # code points from here on are no words: emoji tags, private use
CYCLE = 256  # places of a word's characters that are told apart; longer words repeat them
LONGEST = 64  # words of a run
SINGLES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]")  # soft hyphens, joiners, variation selectors
LOOSE = re.compile("(?<![^\\s.,;:!?'\"-])[\u0300-\u036f]+")  # accents on no letter, as NFKC makes them of ´
GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Words:
    """The words of several texts: hashes uint64 (W,), where each begins and ends in `text` (W,), and the number of the
    text that it is in (W,)."""

    text: str
    hashes: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    texts: np.ndarray

    def between(self, first: int, last: int) -> str:
        """The words from the first up to, not with, the last, joined by spaces."""
        spans = zip(self.starts[first:last].tolist(), self.ends[first:last].tolist(), strict=True)
        return " ".join(self.text[a:b] for a, b in spans)


def plain(text: str) -> str:
    """A text without case, in compatibility form, without characters that are not seen."""
    if text.isascii():
        return text.lower()
    folded = UNSEEN.sub("", unicodedata.normalize("NFKC", text)).casefold()
    folded = unicodedata.normalize("NFKC", folded).replace("ı", "i")  # both are I in capitals
    return LOOSE.sub("", folded)


def words_of(texts: Sequence[str]) -> Words:
    """The words of texts, in order."""
    plains = [plain(text) for text in texts]
    joined = "\n".join(plains)
    kinds, values, powers = _tables()
    if joined.isascii():
        codes = np.frombuffer(joined.encode("ascii"), dtype=np.uint8)
    else:
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        codes = np.minimum(codes, PLANES - 1)
    kind = kinds[codes]
    before = np.concatenate([np.zeros(1, np.uint8), kind[:-1]])
    begins = (kind != before) & (kind != 0)
    if not joined.isascii():
        begins |= kind == 2
    starts = np.flatnonzero(begins)
    finish = np.flatnonzero((kind == 0) & (before != 0)) if kind.size else np.empty(0, np.int64)
    ends = np.concatenate([starts[1:], [kind.size]]) if starts.size else starts
    if finish.size:  # a word ends at the next separator, or where the next one begins
        after = np.append(finish, kind.size)[np.searchsorted(finish, starts)]
        ends = np.minimum(ends, after)
    inside = kind != 0
    lengths = ends - starts
    firsts = np.cumsum(lengths) - lengths
    places = np.arange(int(inside.sum())) - np.repeat(firsts, lengths)
    products = values[codes[inside]] * powers[places & (CYCLE - 1)]
    sums = np.add.reduceat(products, firsts) if starts.size else np.empty(0, np.uint64)
    bounds = np.cumsum([len(text) + 1 for text in plains])
    return Words(joined, mix(sums), starts, ends, np.searchsorted(bounds, starts, side="right"))


def joined_words(texts: Sequence[str]) -> list[str]:
    """The words of each text, joined by spaces."""
    words = words_of(texts)
    edges = np.searchsorted(words.texts, np.arange(len(texts) + 1)).tolist()
    return [words.between(a, b) for a, b in pairwise(edges)]


def gram_hashes(words: np.ndarray, sizes: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """For each size, smallest first, the hashes of all runs of so many words of (W,): uint64 (W - size + 1,)."""
    total = np.zeros(len(words), dtype=np.uint64)
    done = 0
    for size in sorted(sizes):
        count = len(words) - size + 1
        if count < 1:
            return
        for place in range(done, size):
            total[:count] += words[place : place + count] * PLACES[place]
        total, done = total[:count], size
        yield size, mix(total + np.uint64(size))


PLACES = mix(np.arange(1, LONGEST + 1, dtype=np.uint64) * np.uint64(GOLDEN)) | np.uint64(1)


@cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By code point: 0 for what parts words, 1 for what makes them, 2 for what is one; a random value; odd powers."""
    every = [chr(code) for code in range(PLANES)]
    kinds = np.array([char.isalnum() or unicodedata.category(char)[0] == "M" for char in every], dtype=np.uint8)
    kinds[[code for code, char in enumerate(every) if kinds[code] and SINGLES.match(char)]] = 2
    kinds[-1] = 0
    values = mix(np.arange(1, PLANES + 1, dtype=np.uint64) * np.uint64(GOLDEN ^ 0x55))
    powers = mix(np.arange(CYCLE, dtype=np.uint64) + np.uint64(GOLDEN)) | np.uint64(1)
    return kinds, values, powers
