"""Documents as tokens, table by table, each kept when it is done, so that a killed run goes on behind it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from vlmkit.core.errors import InputError
from vlmkit.core.io.progress import progress
from vlmkit.core.io.spool import read_array, write_array
from vlmkit.core.io.tables import iter_rows, parts
from vlmkit.core.io.tokens import TokenWriter
from vlmkit.core.models.tokenizers import encode, load_tokenizer, save_tokenizer, train_tokenizer

TRAIN_CHARS = 1 << 28  # characters that a tokenizer is trained on, from the first document on
BATCH = 256  # documents tokenised at once


def existing_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder, which must know how a document ends."""
    tokenizer = load_tokenizer(folder)
    if tokenizer.eos_token_id is None:
        raise InputError(
            "the tokenizer has no end-of-text token",
            where=str(folder),
            fix="set eos_token in its tokenizer_config.json",
        )
    return tokenizer


def trained_tokenizer(documents: Path, *, vocab_size: int, state: Path) -> PreTrainedTokenizerBase:
    """A tokenizer trained on documents, once: a resumed run takes the one that was trained before."""
    done = state / "trained"
    if not done.is_file():
        save_tokenizer(train_tokenizer(first_texts(documents), vocab_size=vocab_size), state)
        write_array(done, np.zeros(0))
    return load_tokenizer(state)


def first_texts(documents: Path) -> list[str]:
    """Texts of documents in order, until they are enough to train on."""
    texts, chars = [], 0
    for row in iter_rows(documents, columns=["text"], batch=BATCH):
        texts.append(str(row["text"]))
        chars += len(texts[-1])
        if chars >= TRAIN_CHARS:
            break
    return texts


def tokenised(documents: Path, tokenizer: PreTrainedTokenizerBase, *, state: Path) -> list[Path]:
    """Arrays of tokens on the disk, one a table of documents, in order; those that are there already are kept."""
    files = parts(documents)
    found = []
    for number, path in enumerate(files):
        found.append(state / f"{path.stem}.npy")
        if not found[-1].is_file():
            write_array(found[-1], tokens_of(path, tokenizer))
        progress("tokenize", number + 1, len(files), "tables")
    return found


@dataclass(frozen=True)
class Documents:
    """The tokens of each document of arrays on the disk, int32 (n,), without its end of text; read anew each time."""

    arrays: Sequence[Path]

    def __iter__(self) -> Iterator[np.ndarray]:
        for path in self.arrays:
            ids = read_array(path)
            ends = np.flatnonzero(ids == -1)  # the mark of an end: a text may spell the end-of-text token itself
            for start, end in zip([0, *(ends[:-1] + 1)], ends, strict=True) if len(ends) else ():
                yield ids[start:end]


def write_tokens(documents: Iterable[np.ndarray], tokenizer: PreTrainedTokenizerBase, *, folder: Path) -> None:
    """Write documents as token shards with the tokenizer beside: each is its tokens and the end-of-text token."""
    with TokenWriter(folder, vocab_size=len(tokenizer)) as writer:
        for ids in documents:
            writer.add(np.append(ids, tokenizer.eos_token_id))
    save_tokenizer(tokenizer, folder / "tokenizer")


def tokens_of(path: Path, tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Tokens of a table's documents as int32 (n,), each document followed by -1."""
    pieces: list[np.ndarray] = [np.empty(0, np.int32)]
    waiting: list[str] = []

    def flush() -> None:
        pieces.extend(np.array([*ids, -1], dtype=np.int32) for ids in encode(waiting, tokenizer))
        waiting.clear()

    for row in iter_rows(path, columns=["text"], batch=BATCH):
        waiting.append(str(row["text"]))
        if len(waiting) >= BATCH:
            flush()
    flush()
    return np.concatenate(pieces)
