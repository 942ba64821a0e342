"""Tokens in other layouts against naive references: tokshuf-rs's contexts, datatrove's own readers; shuffles."""

import gzip
import json
import math
import random
import struct
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate import shuffle
from vlmkit.core.curate.layouts import Marks, contexts_of, marks_of
from vlmkit.core.curate.shuffle import Cells, cell_edges, id_keys, places_of, row_keys
from vlmkit.core.errors import InputError
from vlmkit.core.io.spool import write_array
from vlmkit.core.io.tokens import TokenSet
from vlmkit.core.models.tokenizers import encode, load_tokenizer
from vlmkit.core.recipes.curate import run


@pytest.fixture
def corpus(tmp_path) -> Path:
    rng = random.Random(0)
    path = tmp_path / "c.jsonl"
    lines = [{"id": f"d{k}", "text": " ".join(rng.choices(["la", "lu", "mo", "ki"], k=3 + k % 40))} for k in range(300)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def curate(corpus: Path, out: Path, *formats: str, **settings):
    given = {"stages": ("extract", "tokenize"), "workers": 1, "tokenizer": "train", "vocab_size": 300, **settings}
    return run(CurateConfig(inputs=(corpus,), out=out, token_format=formats, **given))


def read_shards(folder: Path) -> tuple[list[list[int]], list[tuple[str, int]]]:
    """All contexts in order, and the shards with their numbers, read as a stranger would."""
    contexts, shards = [], []
    for path in sorted(folder.glob("shard_*.tar")):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            for place, member in enumerate(members):
                shard, number, rest = member.name.split("_")
                assert (int(shard), int(number), len(shard)) == (len(shards), place, 8)
                assert rest.endswith(".json.gz")
                assert (member.mtime, member.uid, member.uname, member.mode) == (0, 0, "", 0o644)
                contexts.append(json.loads(gzip.decompress(tar.extractfile(member).read())))
        shards.append((path.stem, len(members)))
    return contexts, shards


def naive(out: Path, size: int, *, end: int, pad: int, all_padding: bool) -> Counter:
    """What tokshuf-rs makes of each table of documents: tokens with their ends, cut into contexts, the last padded."""
    tokenizer = load_tokenizer(out / "webdataset")
    found: Counter = Counter()
    for path in sorted((out / "documents").glob("*.parquet")):
        row: list[int] = []
        for ids in encode(pq.read_table(path)["text"].to_pylist(), tokenizer):
            row += [*ids, end]
        while len(row) >= size:
            found[tuple(row[:size])] += 1
            row = row[size:]
        if row or all_padding:
            found[tuple(row + [pad] * (size - len(row)))] += 1
    return found


@pytest.mark.parametrize("mode", ["faithful", "fixed"])
def test_contexts_are_those_of_a_naive_reference(tmp_path, corpus, monkeypatch, mode):
    monkeypatch.setattr("vlmkit.core.io.sources.SMALLEST_PART", 4000)
    monkeypatch.setattr("vlmkit.core.io.sources.LARGEST_PART", 4000)
    monkeypatch.setattr("vlmkit.core.curate.layouts.CHUNK", 16)
    out = tmp_path / "out"
    result = curate(corpus, out, "webdataset", context=33, mode=mode)
    contexts, shards = read_shards(out / "webdataset")
    pad = load_tokenizer(out / "webdataset").vocab_size + 2
    assert Counter(map(tuple, contexts)) == naive(out, 33, end=0, pad=pad, all_padding=mode == "faithful")
    assert len(list((out / "documents").glob("*"))) > 2
    told = result.values["layouts"]["webdataset"]
    assert (told["contexts"], told["shards"], told["pad"]) == (len(contexts), len(shards), pad)
    assert told["padding"] == sum(context.count(pad) for context in contexts)
    assert told["padding"] + result.values["tokens"] == 33 * len(contexts)
    assert [count for _, count in shards] == [16] * (len(shards) - 1) + [len(contexts) - 16 * (len(shards) - 1)]
    lines = [json.loads(line) for line in (out / "webdataset/manifest.jsonl").read_text().splitlines()]
    assert lines == [{"shard": name, "num_sequences": count} for name, count in shards]
    assert not (out / "tokens").exists()


def test_a_context_of_padding_alone_is_tokshufs_fault_kept_until_mended(tmp_path, caplog):
    corpus = tmp_path / "c.jsonl"
    corpus.write_text(json.dumps({"text": "abcdefg"}) + "\n")
    (tmp_path / "d.jsonl").write_text(json.dumps({"text": "abcdefgabcdefg" * 3}) + "\n")
    curate(tmp_path / "d.jsonl", tmp_path / "t", "vlmkit", vocab_size=257)
    words = {"tokenizer": str(tmp_path / "t/tokens"), "context": 4}  # seven bytes and the end: two full contexts
    faithful = curate(corpus, tmp_path / "faithful", "webdataset", **words)
    assert "--fix all_padding" in caplog.text
    assert faithful.values["differing"] == {"all_padding": 1}
    assert faithful.values["layouts"]["webdataset"]["all_padding"] == 1
    contexts, _ = read_shards(tmp_path / "faithful/webdataset")
    assert sorted(map(len, contexts)) == [4, 4, 4]
    assert [259] * 4 in contexts
    for name, more in (("fixed", {"mode": "fixed"}), ("fix", {"fix": ("all_padding",)})):
        mended = curate(corpus, tmp_path / name, "webdataset", **words, **more)
        assert mended.values["layouts"]["webdataset"]["contexts"] == 2
        assert read_shards(tmp_path / name / "webdataset")[0] == [one for one in contexts if one != [259] * 4]


class Tokenizer:
    """The figures of a tokenizer."""

    def __init__(self, vocab_size: int, total: int, end: int) -> None:
        self.vocab_size, self.total, self.eos_token_id = vocab_size, total, end

    def __len__(self) -> int:
        return self.total


def test_the_ids_of_tokshufs_own_tokenizers(tmp_path):
    assert marks_of(Tokenizer(50254, 50277, 0), faithful=True) == Marks(0, 50256)
    llama = Tokenizer(128_000, 128_256, 128_001)
    assert marks_of(llama, faithful=True) == Marks(0, 128_258, 128_000)
    assert marks_of(llama, faithful=False) == Marks(128_001, 128_258, 128_000)
    assert marks_of(Tokenizer(32_000, 32_000, 2), faithful=True) == Marks(2, 32_002)
    write_array(tmp_path / "a.npy", np.array([5, 6, -1, -1, 7, -1], np.int32))
    found = contexts_of(tmp_path / "a.npy", Marks(0, 9, 1), size=4, keep_empty=False)
    assert found.tolist() == [[1, 5, 6, 0], [1, 0, 1, 7], [0, 9, 9, 9]]


def test_all_layouts_are_the_same_bytes_for_one_and_two_workers_and_hold_the_same_documents(
    tmp_path, corpus, monkeypatch
):
    monkeypatch.setattr("vlmkit.core.io.sources.SMALLEST_PART", 4000)
    monkeypatch.setattr("vlmkit.core.io.sources.LARGEST_PART", 4000)
    monkeypatch.setattr("vlmkit.core.curate.layouts.CHUNK", 16)
    outs = [tmp_path / name for name in ("one", "two")]
    for count, out in enumerate(outs, 1):
        curate(corpus, out, "vlmkit", "webdataset", "ds", shuffle=True, context=33, workers=count)
    digests = [json.loads((out / "manifest.json").read_text())["content_digest"] for out in outs]
    assert digests[0] == digests[1]
    tokens = TokenSet(outs[0] / "tokens")
    ends = tokens.doc_ends()
    data = (outs[0] / "ds/00000.ds").read_bytes()
    assert np.array_equal(np.frombuffer(data, "<u2"), tokens.read(0, len(tokens)))
    index = (outs[0] / "ds/00000.ds.index").read_bytes()
    assert struct.unpack(f"<{len(index) // 8}Q", index) == tuple(ends.tolist())


def test_datatrove_reads_ds_files(tmp_path, corpus, monkeypatch):
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.utils.dataset import DatatroveFolderDataset

    monkeypatch.setattr("vlmkit.core.curate.layouts.DS_TOKENS", 3000)
    out = tmp_path / "out"
    result = curate(corpus, out, "vlmkit", "ds")
    row = TokenSet(out / "tokens").read(0, result.values["tokens"])
    files = sorted((out / "ds").glob("*.ds"))
    assert len(files) == result.values["layouts"]["ds"]["files"] > 1
    found = DatatroveFolderDataset(str(out / "ds"), 31, "*.ds", token_size=2, return_positions=True)
    start = at = 0
    for path in files:
        count = path.stat().st_size // 2
        for window in range(count // 32):
            item = found[at]
            assert item["input_ids"].tolist() == row[start + 32 * window :][:32].tolist()
            at += 1
        start += count
    assert (at, start) == (len(found), len(row))
    # datatrove's own writer, of the same documents with the same tokenizer, leaves the same files
    from datatrove.data import Document

    texts = pq.read_table(out / "documents")["text"].to_pylist()
    writer = DocumentTokenizer(str(tmp_path / "theirs"), str(out / "tokens/tokenizer/tokenizer.json"),
                               eos_token="<|endoftext|>", shuffle_documents=False)  # fmt: skip
    writer.run(iter([Document(text, str(k)) for k, text in enumerate(texts)]))
    (theirs,) = (tmp_path / "theirs").glob("*.ds")
    assert theirs.read_bytes() == b"".join(path.read_bytes() for path in files)
    about = [Path(f"{path}.metadata").read_text().splitlines() for path in (theirs, files[0])]
    assert [line.rpartition("|")[2] for line, *_ in about] == ["2", "2"]
    assert sum(int(Path(f"{path}.metadata").read_text().splitlines()[1]) for path in files) == int(about[0][1])


def test_after_the_shuffle_a_place_says_nothing_of_the_place_before():
    counts = [5000, 0, 1, 7000, 8000]
    places = places_of(row_keys(counts, seed=3))
    count = sum(counts)
    assert sorted(places) == list(range(count))
    # Spearman's correlation of N random ranks has standard deviation 1 / sqrt(N - 1): five of them
    correlation = np.corrcoef(np.arange(count), places)[0, 1]
    assert abs(correlation) < 5 / math.sqrt(count - 1)
    # so has that of neighbours' places, and neighbours stay neighbours about twice in all
    assert abs(np.corrcoef(places[:-1], places[1:])[0, 1]) < 5 / math.sqrt(count - 2)
    assert (np.abs(np.diff(places)) == 1).sum() < 12
    # and the tables are spread evenly over the shards: a chi-squared test of 20 shards by two large tables
    table = np.histogram2d(places[:5000], np.zeros(5000), bins=[20, 1], range=[[0, count], [-1, 1]])[0][:, 0]
    assert ((table - 250) ** 2 / 250).sum() < 50  # 19 degrees of freedom: 50 is beyond 1 - 1e-4
    assert not np.array_equal(places, places_of(row_keys(counts, seed=4)))


def test_cells_give_rows_of_any_length_in_the_new_order_and_are_filled_once(tmp_path, monkeypatch):
    monkeypatch.setattr(shuffle, "HELD", 50)
    monkeypatch.setattr(shuffle, "CELL", 200)
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 99, length).astype(np.int32) for length in rng.integers(0, 30, 300)]
    places = places_of(id_keys((f"doc-{k}" for k in range(300)), seed=0))
    edges = cell_edges(places, np.array([len(row) for row in rows]))
    assert len(edges) > 15
    cells = Cells(tmp_path / "cells", places, edges)
    cells.fill(rows)
    wanted = [rows[k].tolist() for k in np.argsort(places)]
    assert [row.tolist() for row in cells] == wanted
    cells.fill(iter(()))
    assert [row.tolist() for row in cells] == wanted
    (tmp_path / "cells/done.json").unlink()  # killed while they were filled
    cells.fill(rows)
    assert [row.tolist() for row in cells] == wanted


def test_shuffled_documents_follow_their_ids_not_the_order_of_the_input(tmp_path, corpus):
    lines = corpus.read_text().splitlines(keepends=True)
    turned = tmp_path / "turned.jsonl"
    turned.write_text("".join(reversed(lines)))
    curate(corpus, tmp_path / "tokenizer", "vlmkit")
    words = {"tokenizer": str(tmp_path / "tokenizer/tokens"), "shuffle": True}
    shards = []
    for name, path, seed in (("a", corpus, 0), ("b", turned, 0), ("c", corpus, 1)):
        curate(path, tmp_path / name, "vlmkit", seed=seed, **words)
        shards.append((tmp_path / name / "tokens/tokens-00000.safetensors").read_bytes())
    assert shards[0] == shards[1] != shards[2]
    plain = (tmp_path / "tokenizer/tokens/tokens-00000.safetensors").read_bytes()
    assert len(plain) == len(shards[0])
    assert plain != shards[0]


def test_a_killed_writer_goes_on_behind_its_shards(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr("vlmkit.core.curate.layouts.CHUNK", 16)
    from vlmkit.core.curate import layouts

    curate(corpus, tmp_path / "whole", "webdataset", context=33)
    real, written = layouts.write_shard, []

    def dying(shelf, number, cell):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(cell)
        return real(shelf, number, cell)

    with monkeypatch.context() as patch:
        patch.setattr(layouts, "write_shard", dying)
        with pytest.raises(KeyboardInterrupt):
            curate(corpus, tmp_path / "killed", "webdataset", context=33)
    assert not (tmp_path / "killed/manifest.json").exists()
    curate(corpus, tmp_path / "killed", "webdataset", context=33)
    digests = [json.loads((tmp_path / k / "manifest.json").read_text())["content_digest"] for k in ("whole", "killed")]
    assert digests[0] == digests[1]
    assert written == [0, 1, 2]


def test_a_layout_that_is_not_known_is_refused():
    for settings, what in (({"token_format": ("wds",)}, "wds"), ({"context": 1}, "too little")):
        with pytest.raises(InputError, match=what):
            CurateConfig(inputs=(Path("in"),), out=Path("out"), **settings)
