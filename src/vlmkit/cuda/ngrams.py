"""Hashes of the n-grams of a text's words, and MinHash signatures of sets of them; compiled, with plain Python beside.

A word's hash is made of its code points, one after the other; an n-gram's is a sum over its places of mixed products.
"""

import ctypes
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from vlmkit.cuda.build import load
from vlmkit.cuda.text import encoded, table

WORD = re.compile(r"\w+")
WORD_SEED, WORD_FACTOR = 0x9E3779B97F4A7C15, 0x9FB21C651E98DF25
MASK = (1 << 64) - 1
CHUNK = 1 << 12  # n-grams hashed at once in plain Python, so that memory does not grow with the document


def shingles(text: str, places: np.ndarray) -> np.ndarray:
    """Distinct hashes of a text's n-grams of `\\w+`, uint64 (m,), sorted, for n places uint64 (n,); of a shorter text
    the one shorter n-gram, and none of a text without words."""
    library = load("ngrams", "cpu")
    if library is None:
        return reference_shingles(text, places)
    out = np.empty(len(text) // 2 + 1, np.uint64)  # words lie apart
    size = call(library, "shingles", text, pointer(places), ctypes.c_int64(len(places)), pointer(out))
    return out[:size].copy()


def count(text: str, size: int) -> int | None:
    """How many n-grams of `size` segments that are not white space the paragraphs of a text have, each paragraph by
    itself; None where plain Python has to serve (core/curate/bloom.py)."""
    library = load("ngrams", "cpu")
    return None if library is None else call(library, "count", text, ctypes.c_int64(size))


def old_both(
    text: str, paragraphs: int, places: np.ndarray, threshold: float, seen: np.ndarray, *, bits: int, hashes: int
) -> tuple[list[int], int, int] | None:
    """BFF's `old-both` on one text, whose n-grams are added to the Bloom filter `seen`, uint8 (bits / 8,), in place:
    for each paragraph whether it goes; all n-grams, and those known before. None where plain Python has to serve."""
    library = load("ngrams", "cpu")
    if library is None:
        return None
    gone, totals = (ctypes.c_uint8 * paragraphs)(), (ctypes.c_int64 * 2)()
    call(
        library, "old_both", text, pointer(places), ctypes.c_int64(len(places)), ctypes.c_double(threshold),
        pointer(seen), ctypes.c_uint64(bits), ctypes.c_int64(hashes), gone, totals,
    )  # fmt: skip
    return list(gone), *totals


def call(library: ctypes.CDLL, name: str, text: str, *words: Any) -> int:
    """Go through a compiled door with a text."""
    door = getattr(library, f"ngrams_{name}_{8 if text.isascii() else 32}")
    door.restype = ctypes.c_int64
    return door(encoded(text), ctypes.c_int64(len(text)), table(), *words)


def signature(values: np.ndarray, multipliers: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The upper half of the smallest `a x + b` mod 2^64 over values x, uint64 (m,), for each of F functions: uint32
    (F,), all ones for no values."""
    library = load("ngrams", "cpu")
    if library is None:
        return reference_signature(values, multipliers, offsets)
    out = np.empty(len(multipliers), np.uint32)
    values = np.ascontiguousarray(values)
    library.ngrams_signature(
        pointer(values), ctypes.c_int64(len(values)), pointer(multipliers), pointer(offsets),
        ctypes.c_int64(len(multipliers)), pointer(out),
    )  # fmt: skip
    return out


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    """Where an array's values lie."""
    return ctypes.c_void_p(array.ctypes.data)


def reference_shingles(text: str, places: np.ndarray) -> np.ndarray:
    """Plain Python with NumPy."""
    words = WORD.findall(text)
    size = min(len(places), len(words))
    return np.unique(grams(words, places[:size])) if size else np.zeros(0, np.uint64)


def grams(words: Sequence[str], places: np.ndarray) -> np.ndarray:
    """The hash of each n-gram of words, uint64 (W - n + 1,), in order, for n places uint64 (n,)."""
    known = {word: word_hash(word) for word in dict.fromkeys(words)}
    hashes = np.array([known[word] for word in words], dtype=np.uint64)
    count = max(0, len(words) - len(places) + 1)
    total = np.zeros(count, np.uint64)
    for place, factor in enumerate(places):
        total += mix(hashes[place : place + count] * factor + np.uint64(place))
    return mix(total)


def word_hash(word: str) -> int:
    """The hash of a word."""
    found = WORD_SEED
    for point in map(ord, word):
        found = ((found ^ point) * WORD_FACTOR) & MASK
        found ^= found >> 32
    return int(mix(np.array([found], np.uint64))[0])


def mix(x: np.ndarray) -> np.ndarray:
    """Spread every bit of x, uint64, over all bits (the finaliser of splitmix64, a bijection)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def reference_signature(values: np.ndarray, multipliers: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Plain NumPy."""
    smallest = np.full(len(multipliers), 0xFFFFFFFF, dtype=np.uint32)
    for start in range(0, len(values), CHUNK):
        products = multipliers[:, None] * values[None, start : start + CHUNK] + offsets[:, None]
        smallest = np.minimum(smallest, (products.min(axis=1) >> np.uint64(32)).astype(np.uint32))
    return smallest
