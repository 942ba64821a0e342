"""MinHash signatures of word 5-grams and the bands that make near-duplicates meet (Broder 1997; Leskovec et al. 2014).

A document is the set of hashes of its word 5-grams (lower case, punctuation left out; a shorter document is its one
shorter n-gram). For a random function h the smallest value of h over two sets agrees with probability J, their Jaccard
similarity. BANDS x ROWS such minima are kept, ROWS to a band; two documents are compared when some band agrees, which
has probability 1 - (1 - J^ROWS)^BANDS: 0.988 at J = 0.7, 0.9985 at J = 0.75, 0.06 at J = 0.3.
"""

import re

import numpy as np
import xxhash

NGRAM = 5
BANDS, ROWS = 24, 5
WORD = re.compile(r"\w+")
SEED = 0x9E3779B97F4A7C15  # of the hash functions: part of what a signature is, not of a run
CHUNK = 1 << 12  # n-grams hashed at once, so that memory does not grow with the document


def _random(count: int, *, odd: bool) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64([SEED, count, odd]))
    return generator.integers(0, 1 << 64, count, dtype=np.uint64) | np.uint64(odd)


MULTIPLIERS = _random(BANDS * ROWS, odd=True)
OFFSETS = _random(BANDS * ROWS, odd=False)
PLACES = _random(NGRAM, odd=True)
MIXERS = _random(ROWS, odd=True)


def shingles(text: str) -> np.ndarray:
    """Distinct hashes of a text's word 5-grams, uint64 (n,), sorted; empty for a text without words."""
    words = WORD.findall(text.lower())
    known: dict[str, int] = {}
    for word in words:
        if word not in known:
            known[word] = xxhash.xxh3_64_intdigest(word)
    hashes = np.array([known[word] for word in words], dtype=np.uint64)
    size = min(NGRAM, len(hashes))
    if not size:
        return hashes
    count = len(hashes) - size + 1
    total = np.zeros(count, dtype=np.uint64)
    for place in range(size):
        total += mix(hashes[place : place + count] * PLACES[place] + np.uint64(place))
    return np.unique(mix(total))


def mix(x: np.ndarray) -> np.ndarray:
    """Spread every bit of x, uint64, over all bits (the finaliser of splitmix64, a bijection)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def signature(shingle_set: np.ndarray) -> np.ndarray:
    """Smallest value of each hash function over a set of shingles (n,): uint32 (BANDS * ROWS,).

    The functions are (a x + b mod 2^64) >> 32 with odd a, universal on 64-bit words (Dietzfelbinger et al. 1997).
    """
    smallest = np.full(BANDS * ROWS, 0xFFFFFFFF, dtype=np.uint32)
    for start in range(0, len(shingle_set), CHUNK):
        chunk = shingle_set[start : start + CHUNK]
        values = MULTIPLIERS[:, None] * chunk[None, :] + OFFSETS[:, None]
        smallest = np.minimum(smallest, (values.min(axis=1) >> np.uint64(32)).astype(np.uint32))
    return smallest


def bands(sig: np.ndarray) -> np.ndarray:
    """One number a band: uint64 (BANDS,), equal for two signatures where all rows of the band are."""
    rows = sig.astype(np.uint64).reshape(BANDS, ROWS)
    return mix((mix(rows + np.uint64(1)) * MIXERS).sum(axis=1, dtype=np.uint64))


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Size of the intersection over size of the union of two sets given as sorted distinct arrays."""
    common = len(np.intersect1d(a, b, assume_unique=True))
    union = len(a) + len(b) - common
    return common / union if union else 0.0
