"""What curation measures on a text: its words and lines, and how it repeats itself; compiled, with plain Python beside.

Both give the same integers for every text, down to lone surrogates. A text goes in as bytes where it is ASCII and as
code points otherwise; words are those of Unicode Standard Annex 29 (words.py).
"""

import ctypes
import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vlmkit.cuda.build import load
from vlmkit.cuda.characters import FLAGS, characters
from vlmkit.cuda.words import count_words, segment_words, split_paragraphs

BULLETS = ("●", "•", "*", "-")
ELLIPSES = ("...", ". . .", "…")
STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
COUNTED = (
    "likes shares comments retweets reposts quotes bookmarks upvotes downvotes downloads views followers"
).replace(" ", "|")
COUNTED_END = re.compile(rf"(?:{COUNTED})\W*$")
FOLDED = re.compile("[\u0130\u0131\u017f\u212a]")  # letters that fold to ASCII ones
LONGEST = 10  # words of the n-grams that are looked at


class Counts(NamedTuple):
    """What a text holds: words between white space, their characters, words without a letter, stop words, different
    ones; `#` and ellipses; lines, stripped and not empty, those with a bullet first, those with an ellipsis last; and
    pieces between ASCII white space that begin with a letter or digit, as fastText cuts them."""

    words: int
    word_chars: int
    bare_words: int
    stop_words: int
    distinct_stop_words: int
    symbols: int
    lines: int
    bullets: int
    ellipses: int
    fasttext_words: int


class Lines(NamedTuple):
    """Over all lines of a text that are not empty, as they are: the largest share of upper-case letters and of digits
    among their characters, the fewest and the most words, and how many end in the name of something COUNTED."""

    upper: float
    digits: float
    fewest: float
    most: float
    counted: float


class Pieces(NamedTuple):
    """Lines or paragraphs, stripped and not empty: how many occur more than once and their characters; and of all."""

    repeated: int
    repeated_chars: int
    number: int
    chars: int


class Repetition(NamedTuple):
    """How a text repeats itself: by lines, by paragraphs, and by n-grams for n from 1 to 10: the characters of all
    occurrences of the most frequent one (of several such the longest), and the characters of words that lie in one that
    occurs more than once, 0 where none does; and the characters of its words."""

    lines: Pieces
    paragraphs: Pieces
    tops: tuple[int, ...]
    covered: tuple[int, ...]
    chars: int


@functools.lru_cache(maxsize=1)
def counts(text: str) -> Counts:
    """The counts of a text, remembered for the last one: many rules ask for them."""
    found = call("counts", text, len(Counts._fields))
    return reference_counts(text) if found is None else Counts(*found)


@functools.lru_cache(maxsize=1)
def lines(text: str) -> Lines:
    """The extremes of a text's lines, remembered for the last one: rules on lines do work only if they say so."""
    found = call("lines", text, len(Lines._fields), ctypes.c_double)
    return reference_lines(text) if found is None else Lines(*found)


@functools.lru_cache(maxsize=1)
def repetition(text: str) -> Repetition:
    """How a text repeats itself."""
    found = call("repetition", text, 8 + 2 * LONGEST + 1)
    if found is None:
        return reference_repetition(text)
    return Repetition(Pieces(*found[:4]), Pieces(*found[4:8]), tuple(found[8:28:2]), tuple(found[9:28:2]), found[28])


def lines_over(text: str, flag: Callable[[str], bool], bound: float) -> list[int]:
    """The numbers of the lines of which more than a share of the characters are of a kind, one of FLAGS."""
    door = doors("lines_over")
    if door is None:
        return reference_lines_over(text, flag, bound)
    found = (ctypes.c_int64 * (text.count("\n") + 1))()
    return found[: through(door, text, 32 << FLAGS.index(flag), ctypes.c_double(bound), found)]


def mentions(text: str, words: Sequence[str]) -> bool:
    """Whether one of some words (ASCII letters in lower case, digits, spaces, hyphens) is in a text in any case, or a
    letter beyond ASCII that a pattern which ignores case takes for an ASCII one."""
    door = doors("mentions")
    if door is None or "" in words:
        return reference_mentions(text, words)
    return bool(through(door, text, terminated(tuple(words))))


@functools.lru_cache
def terminated(words: tuple[str, ...]) -> bytes:
    """Words with a zero behind each, and one behind all."""
    return "".join(f"{word}\0" for word in words).encode("ascii") + b"\0"


def segments(text: str) -> list[int]:
    """Where the segments of a text end, by UAX 29; compiled code alone has it, for comparison with `words.SEGMENTS`."""
    found = call("segments", text, len(text))
    assert found is not None, "nothing is compiled here"
    return found[: found.index(len(text)) + 1] if text else []


def call(name: str, text: str, size: int, kind: Any = ctypes.c_int64) -> list[Any] | None:
    """What a compiled door says of a text, (size,); None where plain Python has to serve."""
    door = doors(name)
    if door is None:
        return None
    out = (kind * size)()
    through(door, text, out)
    return out[:]


@functools.cache
def doors(name: str) -> tuple[Any, Any] | None:
    """The compiled doors of a name, for bytes and for code points, or None; asked for once in a process."""
    library = load("text", "cpu")
    if library is None:
        return None
    both = getattr(library, f"text_{name}_8"), getattr(library, f"text_{name}_32")
    for one in both:
        one.restype = ctypes.c_int64
    return both


def through(door: tuple[Any, Any], text: str, *words: Any) -> int:
    """Go through a door with a text; some give a number back."""
    return int(door[not text.isascii()](encoded(text), ctypes.c_int64(len(text)), table(), *words))


@functools.lru_cache(maxsize=1)
def encoded(text: str) -> bytes:
    """A text as bytes or code points, remembered for the last one."""
    return text.encode("ascii") if text.isascii() else text.encode("utf-32-le", "surrogatepass")


@functools.cache
def table() -> ctypes.c_void_p:
    """Where the table of characters lies."""
    return ctypes.c_void_p(characters().ctypes.data)


def reference_counts(text: str) -> Counts:
    """Plain Python."""
    words, lines = text.split(), split_paragraphs(text)
    stops = [lower for word in words if (lower := word.lower()) in STOP_WORDS]
    return Counts(
        len(words), sum(map(len, words)), sum(not any(map(str.isalpha, word)) for word in words),
        len(stops), len(set(stops)), sum(map(text.count, ("#", *ELLIPSES))),
        len(lines), sum(line.startswith(BULLETS) for line in lines), sum(line.endswith(ELLIPSES) for line in lines),
        count_words(text),
    )  # fmt: skip


def reference_lines(text: str) -> Lines:
    """Plain Python."""
    kept = [line for line in text.split("\n") if line]
    words = [len(line.split()) for line in kept]
    upper, digits = (
        max((sum(map(flag, line)) / len(line) for line in kept), default=0.0) for flag in (str.isupper, str.isdigit)
    )
    counted = sum(COUNTED_END.search(line.lower()) is not None for line in kept)
    return Lines(upper, digits, min(words, default=math.inf), max(words, default=0.0), counted)


def reference_lines_over(text: str, flag: Callable[[str], bool], bound: float) -> list[int]:
    """Plain Python."""
    each = enumerate(text.split("\n"))
    return [number for number, line in each if line and sum(map(flag, line)) / len(line) > bound]


def reference_mentions(text: str, words: Sequence[str]) -> bool:
    """Plain Python."""
    lower = text.lower()
    return FOLDED.search(text) is not None or any(word in lower for word in words)


def reference_repetition(text: str) -> Repetition:
    """Plain Python with NumPy."""
    words = segment_words(text)
    tops, covered = [0] * LONGEST, [0] * LONGEST
    for one in itertools.takewhile(lambda one: one.n <= LONGEST, ngrams_of(words)):
        tops[one.n - 1], covered[one.n - 1] = one.top(), one.covered()
    lines, paragraphs = (pieces(split_paragraphs(text, end)) for end in ("\n", "\n\n"))
    return Repetition(lines, paragraphs, tuple(tops), tuple(covered), sum(map(len, words)))


def pieces(segments: Sequence[str]) -> Pieces:
    """What of some segments occurs more than once."""
    often = [(len(segment), count) for segment, count in Counter(segments).items() if count > 1]
    repeated = sum(count for _, count in often)
    return Pieces(repeated, sum(size * count for size, count in often), len(segments), sum(map(len, segments)))


@dataclass(frozen=True)
class Ngrams:
    """The n-grams of a text's words (W,): the number of each (W - n + 1,), how often each number occurs and where
    first, and the characters of the words."""

    n: int
    number: np.ndarray
    counts: np.ndarray
    first: np.ndarray
    chars: np.ndarray

    def top(self) -> int:
        """The characters of all occurrences of the most frequent n-gram, the longest of several such."""
        most = self.counts.max()
        before = np.concatenate([[0], np.cumsum(self.chars)])
        starts = self.first[self.counts == most]
        return int((before[starts + self.n] - before[starts]).max() * most)

    def covered(self) -> int:
        """The characters of words that lie in some n-gram occurring more than once."""
        covered = np.zeros(len(self.chars) + 1, dtype=np.int64)
        starts = np.flatnonzero(self.counts[self.number] > 1)
        np.add.at(covered, starts, 1)
        np.add.at(covered, starts + self.n, -1)
        return int(self.chars[np.cumsum(covered[:-1]) > 0].sum())


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
