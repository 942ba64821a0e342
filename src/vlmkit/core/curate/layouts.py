"""Tokens in the layouts of other programs: open_lm's WebDataset, and datatrove's `.ds`.

WebDataset is what DCLM's tokshuf-rs writes: the documents of a table, each with its end of text, are one row, cut into
contexts whose last one is padded; contexts are shuffled over the whole corpus and written 8192 to a tar file. Unlike
there the names of members are digests, and no clock is in the files, so that the same corpus gives the same bytes.
"""

import gzip
import io
import json
import tarfile
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from vlmkit.core.curate.shuffle import Cells, places_of, row_keys
from vlmkit.core.io.files import atomic, write_bytes, write_text
from vlmkit.core.io.progress import progress
from vlmkit.core.io.spool import read_array
from vlmkit.core.io.workers import run_parts

CHUNK = 8192  # contexts of a shard
PAD_OFFSET = 2
LLAMA_3 = (128_000, 128_256)  # its vocabulary without and with special tokens, which tokshuf-rs counts for it alone
DS_TOKENS = 1 << 28  # tokens of a .ds file, about


@dataclass(frozen=True)
class Marks:
    """Token ids: the end of a text, the padding, and what begins a text (None: nothing)."""

    end: int
    pad: int
    begin: int | None = None


def marks_of(tokenizer: PreTrainedTokenizerBase, *, faithful: bool) -> Marks:
    """The ids that tokshuf-rs uses: the end is the tokenizer's own (0 for GPT-NeoX), the padding two behind the
    vocabulary. For Llama 3 texts begin with its begin-of-text token, and end with 0, which is no end: mended unless
    `faithful`."""
    end = tokenizer.eos_token_id
    assert isinstance(end, int)
    if (tokenizer.vocab_size, len(tokenizer)) == LLAMA_3:
        return Marks(0 if faithful else end, LLAMA_3[1] + PAD_OFFSET, LLAMA_3[0])
    return Marks(end, tokenizer.vocab_size + PAD_OFFSET)


def context_count(array: Path, marks: Marks, *, size: int, keep_empty: bool) -> int:
    """How many contexts a table's tokens make; `keep_empty` adds one of padding alone where the last one is full."""
    ids = read_array(array)
    length = len(ids) + (int((ids == -1).sum()) if marks.begin is not None else 0)
    return length // size + 1 if keep_empty else -(-length // size)


def contexts_of(array: Path, marks: Marks, *, size: int, keep_empty: bool) -> np.ndarray:
    """The contexts of a table's tokens, int32 (N, size)."""
    ids = np.array(read_array(array))
    ends = np.flatnonzero(ids == -1)
    ids[ends] = marks.end
    if marks.begin is not None and len(ends):
        ids = np.insert(ids, [0, *(ends[:-1] + 1)], marks.begin)
    count = context_count(array, marks, size=size, keep_empty=keep_empty)
    return np.append(ids, np.full(count * size - len(ids), marks.pad, np.int32)).reshape(count, size)


def write_webdataset(
    arrays: Sequence[Path],
    marks: Marks,
    *,
    folder: Path,
    state: Path,
    size: int,
    seed: int,
    keep_empty: bool,
    workers: int,
) -> dict[str, object]:
    """Write the contexts of all tables, shuffled, as shards and `manifest.jsonl`; shards that are there are kept, for a
    killed run of the same settings wrote them. What was written: contexts, shards, tokens of padding, and contexts of
    nothing else."""
    counts = [context_count(path, marks, size=size, keep_empty=keep_empty) for path in arrays]
    places = places_of(row_keys(counts, seed=seed))
    edges = np.append(np.arange(0, len(places), CHUNK), len(places))
    cells = Cells(state, places, edges)
    cells.fill(row for path in arrays for row in contexts_of(path, marks, size=size, keep_empty=keep_empty))
    left = [(n, n) for n in range(cells.count) if not (folder / shard_name(n)).is_file()]
    for done, _ in enumerate(run_parts(write_shard, partial(_Shelf, cells, folder), left, workers=workers), 1):
        progress("webdataset", cells.count - len(left) + done, cells.count, "shards")
    sizes = np.diff(edges).tolist()
    lines = [json.dumps({"shard": Path(shard_name(n)).stem, "num_sequences": size}) for n, size in enumerate(sizes)]
    write_text(folder / "manifest.jsonl", "".join(line + "\n" for line in lines))
    lengths = [int(len(ids) + (ids == -1).sum() * (marks.begin is not None)) for ids in map(read_array, arrays)]
    return {
        "contexts": sum(counts), "context": size, "shards": len(sizes), "padding": sum(counts) * size - sum(lengths),
        "all_padding": sum(n * size - length == size for n, length in zip(counts, lengths, strict=True)),
        "end_of_text": marks.end, "pad": marks.pad,
    }  # fmt: skip


@dataclass(frozen=True)
class _Shelf:
    cells: Cells
    folder: Path


def write_shard(shelf: _Shelf, number: int, cell: int) -> None:
    """Write one cell of contexts as a tar file of gzipped JSON lists."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for place, row in enumerate(shelf.cells.read(cell)):
            name = uuid.UUID(bytes=blake2b(row.astype("<u4").data, digest_size=16).digest())
            member = tarfile.TarInfo(f"{number:08d}_{place:08d}_{name}.json.gz")
            packed = gzip.compress(json.dumps(row.tolist(), separators=(",", ":")).encode(), 6, mtime=0)
            member.size = len(packed)
            tar.addfile(member, io.BytesIO(packed))
    write_bytes(shelf.folder / shard_name(cell), content.getvalue())


def shard_name(number: int) -> str:
    """The file of a shard."""
    return f"shard_{number:08d}.tar"


def write_ds(documents: Iterable[np.ndarray], tokenizer: PreTrainedTokenizerBase, *, folder: Path) -> dict[str, object]:
    """Write documents, each with its end of text, as datatrove's `.ds` files with `.ds.index` (the ends of documents)
    and `.ds.metadata`; how many files and tokens."""
    import humanize

    width = 4 if len(tokenizer) > 1 << 16 else 2
    source = iter(documents)
    tokens = files = 0
    following = next(source, None)
    while following is not None or not files:
        path = folder / f"{files:05d}.ds"
        ends: list[int] = []
        with atomic(path) as temporary, temporary.open("wb") as file:
            while following is not None and (ends[-1] if ends else 0) < DS_TOKENS:
                row = np.append(following, tokenizer.eos_token_id).astype(f"<u{width}")
                file.write(row.data)
                ends.append((ends[-1] if ends else 0) + len(row))
                following = next(source, None)
        count = ends[-1] if ends else 0
        write_bytes(path.with_name(f"{path.name}.index"), np.array(ends, dtype="<u8").tobytes())
        about = [f"tokenizer/tokenizer.json|{width}", str(count), humanize.metric(count, unit="T")]
        write_text(path.with_name(f"{path.name}.metadata"), "\n".join(about))
        tokens, files = tokens + count, files + 1
    return {"files": files, "tokens": tokens, "token_bytes": width}
