"""Documents as token ids: shards of one long row each, memory-mapped, with the ends of documents beside.

`tokens-00000.safetensors` holds `tokens` (uint16 when the vocabulary fits, else uint32) and `doc_ends` (int64,
exclusive ends of the documents that end within the shard). A document may go on in the next shard; the last shard ends
with one.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.io.files import atomic, remove
from vlmkit.core.io.header import Entry, damaged, encode_header, read_header

SHARDS = "tokens-*.safetensors"
TYPES: dict[str, np.dtype] = {"U16": np.dtype("<u2"), "U32": np.dtype("<u4")}


class TokenWriter:
    """Writes documents into shards of `shard_tokens` tokens, each of which appears whole or not at all."""

    def __init__(self, folder: Path, *, vocab_size: int, shard_tokens: int = 1 << 26) -> None:
        self.folder, self.vocab_size, self.shard_tokens = folder, vocab_size, shard_tokens
        self.tokens = self.documents = 0
        self._type = "U16" if vocab_size <= 1 << 16 else "U32"
        self._pieces: list[np.ndarray] = []
        self._ends: list[int] = []
        self._held = self._shards = 0

    def __enter__(self) -> "TokenWriter":
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.folder.glob(SHARDS):  # of an earlier, interrupted writing: the rows of one set never mix
            remove(stale)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and (self._held or not self._shards):
            self._write_shard()

    def add(self, ids: Sequence[int] | np.ndarray) -> None:
        """Append one document (N,), its end-of-text token included."""
        document = np.asarray(ids, dtype=np.int64)
        if document.ndim != 1 or not len(document):
            raise ValueError(f"a document is one row of at least one token, not of shape {document.shape}")
        if document.min() < 0 or document.max() >= self.vocab_size:
            raise ValueError(
                f"token ids {document.min()}..{document.max()} leave the vocabulary [0, {self.vocab_size})"
            )
        self.documents += 1
        self.tokens += len(document)
        rest = document.astype(TYPES[self._type])
        while self._held + len(rest) > self.shard_tokens:
            room = self.shard_tokens - self._held
            self._pieces.append(rest[:room])
            self._held += room
            self._write_shard()
            rest = rest[room:]
        self._pieces.append(rest)
        self._held += len(rest)
        self._ends.append(self._held)

    def _write_shard(self) -> None:
        ends = np.asarray(self._ends, dtype="<i8")
        arrays = [
            ("doc_ends", "I64", ends.shape, ends.nbytes),
            ("tokens", self._type, (self._held,), self._held * TYPES[self._type].itemsize),
        ]
        about = json.dumps({"kind": "tokens", "vocab_size": self.vocab_size}, sort_keys=True)
        path = self.folder / f"tokens-{self._shards:05d}.safetensors"
        with atomic(path) as temporary, temporary.open("wb") as handle:
            handle.write(encode_header(arrays, {"format": "pt", "vlmkit": about}))
            handle.write(ends.data)
            for piece in self._pieces:
                handle.write(np.ascontiguousarray(piece).data)
        self._shards += 1
        self._pieces, self._ends, self._held = [], [], 0


class TokenSet:
    """All shards of a folder as one row of tokens; nothing is read before it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = sorted(folder.glob(SHARDS))
        if not paths:
            raise InputError("no token shards here", where=str(folder), fix=f"give a folder that holds {SHARDS}")
        for index, path in enumerate(paths):
            if path.name != f"tokens-{index:05d}.safetensors":
                raise InputError(f"shard {index:05d} is missing", where=str(folder), fix="copy all shards again")
        shards = [_open_shard(path) for path in paths]
        self._rows = [row for row, _, _ in shards]
        self._ends = [ends for _, ends, _ in shards]
        self._starts = np.cumsum([0, *(len(row) for row in self._rows)])
        self._bound = max((bound for *_, bound in shards if bound), default=0)
        _check_ends(paths, self._rows, self._ends)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return TokenSet, (self.folder,)  # a data worker maps the shards itself; nothing is copied to it

    @property
    def num_documents(self) -> int:
        """How many documents end in these shards."""
        return sum(len(ends) for ends in self._ends)

    @property
    def vocab_bound(self) -> int:
        """A number that every token id is below: what the shards declare, else the largest id plus one."""
        if not self._bound:
            self._bound = 1 + max((int(row.max()) for row in self._rows if len(row)), default=-1)
        return self._bound

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens [start, stop) of the whole set as int64 (N,), across shards."""
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"tokens {start}..{stop} are outside 0..{len(self)}")
        out = np.empty(stop - start, dtype=np.int64)
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        for row, begin in zip(self._rows[first:last], self._starts[first:last].tolist(), strict=True):
            low, high = max(start, begin), min(stop, begin + len(row))
            out[low - start : high - start] = row[low - begin : high - begin]
        return out

    def doc_ends(self) -> np.ndarray:
        """Exclusive end of every document in the whole set, int64 (N,), increasing."""
        return np.concatenate([ends + start for ends, start in zip(self._ends, self._starts, strict=False)])


def _open_shard(path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    header = read_header(path)
    tokens, ends = header.entries.get("tokens"), header.entries.get("doc_ends")
    if tokens is None or ends is None:
        raise damaged(path, f"it holds {', '.join(sorted(header.entries)) or 'nothing'}, not tokens and doc_ends")
    if tokens.dtype not in TYPES or len(tokens.shape) != 1:
        raise damaged(path, f"tokens are {tokens.dtype} of shape {tokens.shape}, not one row of uint16 or uint32")
    if ends.dtype != "I64" or len(ends.shape) != 1:
        raise damaged(path, f"doc_ends are {ends.dtype} of shape {ends.shape}, not one row of int64")
    row = _map(path, tokens, TYPES[tokens.dtype])
    return row, np.array(_map(path, ends, np.dtype("<i8"))), _declared_bound(path, header.metadata)


def _map(path: Path, entry: Entry, dtype: np.dtype) -> np.ndarray:
    if not entry.shape[0]:
        return np.empty(0, dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=entry.start, shape=entry.shape)


def _declared_bound(path: Path, metadata: dict[str, str]) -> int:
    try:
        return int(json.loads(metadata.get("vlmkit", "{}")).get("vocab_size", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise damaged(path, "its metadata cannot be read") from error


def _check_ends(paths: list[Path], rows: list[np.ndarray], ends: list[np.ndarray]) -> None:
    for path, row, end in zip(paths, rows, ends, strict=True):
        if len(end) and (end[0] < 1 or end[-1] > len(row) or (np.diff(end) < 1).any()):
            raise damaged(path, "its documents do not end one after another within the shard")
    if len(rows[-1]) and (not len(ends[-1]) or ends[-1][-1] != len(rows[-1])):
        raise damaged(paths[-1], "its last document does not end; a further shard may be missing")
