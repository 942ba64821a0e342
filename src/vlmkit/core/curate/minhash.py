"""MinHash signatures of word 5-grams and the bands that make near-duplicates meet (Broder 1997; Leskovec et al. 2014).

A document is the set of hashes of its word 5-grams (lower case, punctuation left out; a shorter document is its one
shorter n-gram). For a random function h the smallest value of h over two sets agrees with probability J, their Jaccard
similarity. BANDS x ROWS such minima are kept, ROWS to a band; two documents are compared when some band agrees, which
has probability 1 - (1 - J^ROWS)^BANDS: 0.988 at J = 0.7, 0.9985 at J = 0.75, 0.06 at J = 0.3.
"""

import numpy as np

from vlmkit.cuda import ngrams
from vlmkit.cuda.ngrams import mix

NGRAM = 5
BANDS, ROWS = 24, 5
SEED = 0x9E3779B97F4A7C15  # of the hash functions: part of what a signature is, not of a run


def _random(count: int, *, odd: bool) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64([SEED, count, odd]))
    return generator.integers(0, 1 << 64, count, dtype=np.uint64) | np.uint64(odd)


MULTIPLIERS = _random(BANDS * ROWS, odd=True)
OFFSETS = _random(BANDS * ROWS, odd=False)
PLACES = _random(NGRAM, odd=True)
MIXERS = _random(ROWS, odd=True)


def shingles(text: str) -> np.ndarray:
    """Distinct hashes of a text's word 5-grams, uint64 (n,), sorted; empty for a text without words."""
    return ngrams.shingles(text.lower(), PLACES)


def signature(shingle_set: np.ndarray) -> np.ndarray:
    """Smallest value of each hash function over a set of shingles (n,): uint32 (BANDS * ROWS,).

    The functions are (a x + b mod 2^64) >> 32 with odd a, universal on 64-bit words (Dietzfelbinger et al. 1997).
    """
    return ngrams.signature(shingle_set, MULTIPLIERS, OFFSETS)


def bands(sig: np.ndarray) -> np.ndarray:
    """One number a band: uint64 (BANDS,), equal for two signatures where all rows of the band are."""
    rows = sig.astype(np.uint64).reshape(BANDS, ROWS)
    return mix((mix(rows + np.uint64(1)) * MIXERS).sum(axis=1, dtype=np.uint64))


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Size of the intersection over size of the union of two sets given as sorted distinct arrays."""
    common = len(np.intersect1d(a, b, assume_unique=True))
    union = len(a) + len(b) - common
    return common / union if union else 0.0
