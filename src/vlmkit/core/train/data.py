"""Batches of next-token prediction from token shards: a pure function of the step, so the data cursor is the step.

Window i of a stream is tokens [i S, i S + S]: S inputs and the S tokens that follow them, so every token but the first
is predicted once a pass. Each pass has its own order, drawn from the seed. The last batch is cut so that as many tokens
are trained on as were asked for, no more; what is left of a window is a shorter row of its own, without padding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vlmkit.core.errors import InputError
from vlmkit.core.io.tokens import TokenSet

Batch = Mapping[str, Tensor]  # tensors whose first axis is the row
IGNORED = -100  # a target that does not count
HELD_IN_MEMORY = 1 << 25  # tokens (128 MiB as int32) below which a stream is read once instead of window by window


class Stream:
    """Chosen spans of token sets, in order, as one row of tokens."""

    def __init__(self, parts: Sequence[tuple[TokenSet, np.ndarray]]) -> None:
        """`parts`: token sets, each with its spans (N, 2): start and exclusive end."""
        self._sets = [tokens for tokens, _ in parts]
        self._which = np.repeat(np.arange(len(parts)), [len(rows) for _, rows in parts])
        spans = np.concatenate([np.empty((0, 2), np.int64), *(rows for _, rows in parts)])
        self._from = spans[:, 0]
        self._starts = np.concatenate([[0], np.cumsum(spans[:, 1] - spans[:, 0])])
        self._held: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens [start, stop), int64 (N,)."""
        if self._held is None and len(self) <= HELD_IN_MEMORY:
            self._held = self._gather(0, len(self)).astype(np.int32)
        return self._gather(start, stop) if self._held is None else self._held[start:stop].astype(np.int64)

    def _gather(self, start: int, stop: int) -> np.ndarray:
        out = np.empty(stop - start, dtype=np.int64)
        index = int(np.searchsorted(self._starts, start, side="right")) - 1
        while start < stop:
            begin, end = int(self._starts[index]), min(int(self._starts[index + 1]), stop)
            offset = int(self._from[index]) - begin
            piece = self._sets[self._which[index]].read(start + offset, end + offset)
            out[len(out) - (stop - start) : len(out) - (stop - end)] = piece
            start, index = end, index + 1
        return out


@dataclass(frozen=True)
class Position:
    """Where in the data a step begins: the pass over it, the row within the pass, and the tokens seen before."""

    epoch: int
    sequence: int
    tokens: int


class TokenBatches(Sequence[list[Batch]]):
    """Batches of `batch_size` windows of `seq_len` tokens, `tokens` tokens in all, in an order that `seed` decides.

    `batches[step]` is a list of pieces, each with `input_ids` and `targets` (B, S): one piece, or two when the token
    budget ends within a window.
    """

    def __init__(self, stream: Stream, *, seq_len: int, batch_size: int, tokens: int, seed: int) -> None:
        self.stream, self.seq_len, self.batch_size, self.tokens, self.seed = stream, seq_len, batch_size, tokens, seed
        self.num_windows = (len(stream) - 1) // seq_len
        if self.num_windows < 1:
            raise InputError(
                f"{len(stream):,} training tokens are fewer than one sequence of {seq_len} and the token after it",
                where="the training data",
                fix=f"more data, or a shorter --seq-len (at most {max(len(stream) - 1, 0)})",
            )
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    @property
    def epochs(self) -> float:
        """How many passes over the data the token budget makes."""
        return self.tokens / (self.num_windows * self.seq_len)

    def __len__(self) -> int:
        return -(-self.tokens // (self.batch_size * self.seq_len))

    def __getitem__(self, step: int) -> list[Batch]:  # type: ignore[override]
        if not 0 <= step < len(self):
            raise IndexError(step)
        first = step * self.batch_size
        budget = min(self.batch_size * self.seq_len, self.tokens - first * self.seq_len)
        rows, rest = divmod(budget, self.seq_len)
        pieces = [np.stack([self._window(first + i, self.seq_len) for i in range(rows)])] if rows else []
        pieces += [self._window(first + rows, rest)[None]] if rest else []
        return [as_batch(torch.from_numpy(piece)) for piece in pieces]

    def position(self, step: int) -> Position:
        """Where the data of a step begin; `step` may be the number of steps (the end)."""
        sequence = step * self.batch_size
        tokens = min(sequence * self.seq_len, self.tokens)
        return Position(sequence // self.num_windows, sequence % self.num_windows, tokens)

    def _window(self, number: int, length: int) -> np.ndarray:
        epoch, place = divmod(number, self.num_windows)
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.num_windows)
        start = int(self._order[1][place]) * self.seq_len
        return self.stream.read(start, start + length + 1)


class Windows(Sequence[list[Batch]]):
    """A whole stream in fixed windows, in order, `rows` at a time: what a validation loss is measured on.

    Every token but the first is a target once, whatever `rows` is.
    """

    def __init__(self, stream: Stream, *, seq_len: int, rows: int) -> None:
        if len(stream) < 2:
            raise InputError(f"{len(stream)} tokens to measure a loss on", where="validation", fix="give more text")
        self.stream, self.seq_len, self.rows = stream, seq_len, rows

    def __len__(self) -> int:
        return -(-(len(self.stream) - 1) // (self.seq_len * self.rows))

    def __getitem__(self, index: int) -> list[Batch]:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        start, span = index * self.rows * self.seq_len, self.seq_len * self.rows
        tokens = self.stream.read(start, min(start + span + 1, len(self.stream)))
        whole = (len(tokens) - 1) // self.seq_len
        pieces = [tokens[i * self.seq_len : (i + 1) * self.seq_len + 1] for i in range(whole)]
        found = [as_batch(torch.from_numpy(np.stack(pieces)))] if pieces else []
        rest = tokens[whole * self.seq_len :]
        return [*found, as_batch(torch.from_numpy(rest)[None])] if len(rest) > 1 else found


def as_batch(rows: Tensor) -> Batch:
    """Rows (B, S + 1) as inputs and the tokens that follow them."""
    return {"input_ids": rows[:, :-1].contiguous(), "targets": rows[:, 1:].contiguous()}


def count(batch: Batch) -> int:
    """What a batch weighs in a mean: its targets other than -100, or its rows if it has no `targets`."""
    targets = batch.get("targets")
    return len(next(iter(batch.values()))) if targets is None else int((targets != IGNORED).sum())


def whole(sets: Sequence[TokenSet]) -> Stream:
    """All tokens of all sets, in order."""
    return Stream([(tokens, np.array([[0, len(tokens)]])) for tokens in sets])


def split(sets: Sequence[TokenSet], *, fraction: float, seed: int) -> tuple[Stream, Stream]:
    """(training, held-out): documents whose hash of position and seed falls below `fraction` are held out.

    At least one document is on either side; a single document is cut, and its end held out.
    """
    ends = [tokens.doc_ends() for tokens in sets]
    total = sum(len(one) for one in ends)
    if total == 1:
        cut = max(1, round(len(sets[0]) * (1 - fraction)))
        return Stream([(sets[0], np.array([[0, cut]]))]), Stream([(sets[0], np.array([[cut, len(sets[0])]]))])
    hashes = scatter(np.arange(total, dtype=np.uint64), seed)
    held = hashes < np.uint64(min(int(fraction * 2**64), 2**64 - 1))
    held[hashes.argmin()], held[hashes.argmax()] = True, False
    marks = np.split(held, np.cumsum([len(one) for one in ends])[:-1])
    parts = list(zip(sets, ends, marks, strict=True))
    train, out = ([(s, runs(e, m == side)) for s, e, m in parts] for side in (False, True))
    return Stream(train), Stream(out)


def runs(ends: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Spans (N, 2) of consecutive chosen documents, from the documents' ends and a mask over them, both (N,)."""
    starts = np.concatenate([[0], ends[:-1]])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]])))
    return np.stack([starts[edges[::2]], ends[edges[1::2] - 1]], axis=1).astype(np.int64)


def scatter(numbers: np.ndarray, seed: int) -> np.ndarray:
    """A hash of each number (uint64) and a seed: splitmix64, the same everywhere."""
    with np.errstate(over="ignore"):
        x = numbers + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
