"""Documents that hold items of evaluation tasks, found by runs of n words (Brown et al. 2020, appendix C).

Every piece of an item's text, its context or its question, is indexed by its n-grams. A document holds a piece as far
as the piece's words lie in n-grams that the document has too; from a share on, it is contaminated (that words are
counted, and the share of one half, is Lambert et al. 2024, Tülu 3). A piece of fewer than n words is one shorter
n-gram; one of fewer than `TELLING` words says too little to be looked for. N-grams that many pieces of a task have are
its template, and a question that many items share is told by its context alone: neither is looked for.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from vlmkit.core.curate.grams import Words, gram_hashes, joined_words, words_of
from vlmkit.core.curate.items import Item
from vlmkit.core.curate.left import Arrays, Document
from vlmkit.core.io.spool import read_array, write_array

TELLING = 8  # words
MANY = 10  # more pieces of a task with one n-gram, or items with one question, and it says nothing
NEAR = 64  # words after a question within which its answer is looked for
CHARS = 1 << 20  # of texts that are looked at together
SNIPPET = 160  # characters of what was found
T = TypeVar("T")
ARRAYS = ("grams", "starts", "pieces", "places", "coverable")


class Piece(NamedTuple):
    """A piece of text of one or several items: the task, `context` or `question`, how many words its n-grams have, the
    items, and the words of each one's answers."""

    task: str
    kind: str
    size: int
    items: list[int]
    answers: list[list[str]]


@dataclass(frozen=True)
class Index:
    """All pieces, and for each n-gram (sorted hashes, uint64 (G,)) the pieces and places where it is: those from
    starts[g] up to starts[g + 1], int32 (P,). `coverable` words of each piece lie in n-grams of the index (U,)."""

    about: list[Piece]
    grams: np.ndarray
    starts: np.ndarray
    pieces: np.ndarray
    places: np.ndarray
    coverable: np.ndarray

    def save(self, folder: Path) -> None:
        """Write the arrays, so that several processes share them."""
        for name in ARRAYS:
            write_array(folder / f"{name}.npy", getattr(self, name))

    def mapped(self, folder: Path) -> "Index":
        """The same index with its arrays from the disk."""
        return Index(self.about, **{name: read_array(folder / f"{name}.npy") for name in ARRAYS})


class Look(NamedTuple):
    """How many items of a task there are, and which can be looked for, are too short, or are like too many others."""

    items: int
    testable: set[int]
    short: int
    common: int


def build_index(tasks: dict[str, list[Item]], *, size: int) -> tuple[Index, dict[str, Look]]:
    """The index of all tasks by n-grams of `size` words, and what of each task can be looked for."""
    about: list[Piece] = []
    postings: list[np.ndarray] = [np.empty((0, 3), np.uint64)]  # n-gram, piece, place
    looks = {}
    for task, items in tasks.items():
        pieces, rows = pieces_of(task, items, size)
        found = grams_of(pieces, rows, first=len(about))
        has = set(found[:, 1].tolist())
        testable = {item for number, piece in enumerate(pieces, len(about)) if number in has for item in piece.items}
        long = {item for piece in pieces for item in piece.items}
        looks[task] = Look(len(items), testable, len(items) - len(long), len(long - testable))
        about += pieces
        postings.append(found)
    every = np.concatenate(postings)
    every = every[np.lexsort((every[:, 2], every[:, 1], every[:, 0]))]
    grams, starts = np.unique(every[:, 0], return_index=True)
    where, places = every[:, 1].astype(np.int32), every[:, 2].astype(np.int32)
    coverable = covered(where, places, sizes_of(about)[where], count=len(about))
    return Index(about, grams, np.append(starts, len(every)), where, places, coverable), looks


def pieces_of(task: str, items: Sequence[Item], size: int) -> tuple[list[Piece], list[np.ndarray]]:
    """The distinct pieces of a task's items that have enough words, and the hashes of each one's words."""
    texts = [(item, kind, text) for item in items for kind, text in item.pieces]
    spelled = iter(joined_words([answer for item in items for answer in item.answers]))
    answers = {item.number: [words for _ in item.answers if (words := next(spelled))] for item in items}
    known: dict[bytes, int] = {}
    pieces: list[Piece] = []
    rows: list[np.ndarray] = []
    for (item, kind, _), row in zip(texts, word_rows([text for *_, text in texts]), strict=True):
        if len(row) < min(TELLING, size):
            continue
        number = known.setdefault(row.tobytes(), len(pieces))
        if number == len(pieces):
            pieces.append(Piece(task, kind, min(size, len(row)), [], []))
            rows.append(row)
        if item.number not in pieces[number].items[-1:]:
            pieces[number].items.append(item.number)
            pieces[number].answers.append(answers[item.number])
    return pieces, rows


def grams_of(pieces: Sequence[Piece], rows: Sequence[np.ndarray], *, first: int) -> np.ndarray:
    """N-grams of a task's pieces as rows (n-gram, piece, place), without those of its template; pieces are numbered
    from `first` on."""
    found = [np.empty((0, 3), np.uint64)]
    for number, (piece, row) in enumerate(zip(pieces, rows, strict=True), first):
        if piece.kind == "question" and len(piece.items) > MANY:
            continue
        ((_, hashes),) = gram_hashes(row, [piece.size])
        _, places = np.unique(hashes, return_index=True)
        found.append(np.stack([hashes[places], np.full(len(places), number, np.uint64), places.astype(np.uint64)], 1))
    every = np.concatenate(found)
    _, inverse, counts = np.unique(every[:, 0], return_inverse=True, return_counts=True)
    return every[counts[inverse] <= min(max(len(pieces) // 4, 2), MANY)]


def word_rows(texts: Sequence[str]) -> Iterator[np.ndarray]:
    """The hashes of each text's words."""
    for chunk in by_chars(texts, len):
        words = words_of(chunk)
        edges = np.searchsorted(words.texts, np.arange(len(chunk) + 1))
        yield from (words.hashes[a:b] for a, b in pairwise(edges.tolist()))


def by_chars(things: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Things in order, gathered until they have enough characters."""
    held: list[T] = []
    size = 0
    for thing in things:
        held.append(thing)
        size += size_of(thing)
        if size >= CHARS:
            yield held
            held, size = [], 0
    if held:
        yield held


def sizes_of(about: Sequence[Piece]) -> np.ndarray:
    """How many words the n-grams of each piece have."""
    return np.array([piece.size for piece in about], dtype=np.int64)


def covered(groups: np.ndarray, places: np.ndarray, sizes: np.ndarray, *, count: int) -> np.ndarray:
    """How many words of each group lie in runs of `sizes` words that begin at `places` (P,): int64 (count,)."""
    order = np.lexsort((places, groups))
    groups, places, sizes = groups[order], places[order].astype(np.int64), sizes[order]
    steps = np.full(len(places), np.iinfo(np.int64).max)
    steps[:-1] = np.where(groups[1:] == groups[:-1], np.diff(places), steps[:-1])
    return np.bincount(groups, np.minimum(steps, sizes), minlength=count).astype(np.int64)


class Seeker:
    """Looks for the pieces of an index in texts."""

    def __init__(self, index: Index, *, threshold: float) -> None:
        self.index, self.threshold = index, threshold
        self.sizes = sizes_of(index.about)
        self.wanted = sorted(set(self.sizes.tolist()))
        bits = min(max(len(index.grams) * 8, 1 << 12).bit_length(), 26)
        self.shift, self.low = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
        self.first = np.zeros(1 << bits, dtype=np.bool_)  # which hashes may be in the index, by their first bits …
        self.last = np.zeros(1 << bits, dtype=np.bool_)  # … and by their last
        self.first[index.grams >> self.shift] = True
        self.last[index.grams & self.low] = True

    def runs(self, words: Words) -> tuple[np.ndarray, np.ndarray]:
        """Where n-grams of the index begin among words, and which they are."""
        spots, which = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        grams = self.index.grams
        for size, hashes in gram_hashes(words.hashes, self.wanted):
            spot = np.flatnonzero(self.first[hashes >> self.shift])
            spot = spot[self.last[hashes[spot] & self.low]]
            at = np.minimum(np.searchsorted(grams, hashes[spot]), len(grams) - 1)
            sure = (grams[at] == hashes[spot]) & (words.texts[spot] == words.texts[spot + size - 1])
            spots.append(spot[sure])
            which.append(at[sure])
        return np.concatenate(spots), np.concatenate(which)

    def hits(self, words: Words) -> Iterator[tuple[int, int, float, int, int]]:
        """Pieces that texts hold: the text's number, the piece, the share of its words, and the first word and the one
        behind the last."""
        index = self.index
        spots, which = self.runs(words)
        if not spots.size:
            return
        counts = index.starts[which + 1] - index.starts[which]
        spots = np.repeat(spots, counts)
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        posting = np.repeat(index.starts[which], counts) + inside
        pairs = words.texts[spots] * len(index.about) + index.pieces[posting]
        keys, groups = np.unique(pairs, return_inverse=True)
        pieces = keys % len(index.about)
        once, first = np.unique(np.stack([groups, index.places[posting]]), axis=1, return_index=True)
        shares = covered(once[0], once[1], self.sizes[pieces][groups[first]], count=len(keys)) / index.coverable[pieces]
        begin, end = np.full(len(keys), len(words.hashes)), np.zeros(len(keys), np.int64)
        np.minimum.at(begin, groups, spots)
        np.maximum.at(end, groups, spots + self.sizes[pieces][groups])
        for key in np.flatnonzero(shares >= self.threshold).tolist():
            yield (
                int(keys[key] // len(index.about)),
                int(pieces[key]),
                float(shares[key]),
                int(begin[key]),
                int(end[key]),
            )

    def answered(self, words: Words, piece: Piece, begin: int, end: int) -> int | None:
        """The place among a piece's items of one whose answer follows in the text."""
        if piece.kind != "question":
            return None
        stop = min(end + NEAR, int(np.searchsorted(words.texts, words.texts[begin], side="right")))
        near = f" {words.between(end, stop)} "
        return next((k for k, every in enumerate(piece.answers) if any(f" {one} " in near for one in every)), None)


def seek(seeker: Seeker, documents: Iterable[Document]) -> Arrays:
    """What documents hold: row, piece, share, item, whether its answer follows, the document's id, and the words."""
    found: dict[str, list[object]] = {name: [] for name in ("row", "piece", "share", "item", "answered", "id", "text")}
    for chunk in by_chars(documents, lambda document: len(document.text)):
        words = words_of([document.text for document in chunk])
        for text, number, share, begin, end in seeker.hits(words):
            piece = seeker.index.about[number]
            place = seeker.answered(words, piece, begin, end)
            values = (
                chunk[text].row, number, share, piece.items[place or 0], place is not None, chunk[text].id,
                words.between(begin, min(end, begin + SNIPPET))[:SNIPPET],
            )  # fmt: skip
            for column, value in zip(found.values(), values, strict=True):
                column.append(value)
    types = dict(zip(found, (np.int64, np.int64, np.float64, np.int64, np.bool_, np.str_, np.str_), strict=True))
    return {name: np.array(column, dtype=types[name]) for name, column in found.items()}
