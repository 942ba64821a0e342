"""Samples of pages: spread over all of an input, no page twice, and sums that come out right on average."""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlmkit.core.io.sample import MOST, Sample, draw, inflated
from vlmkit.core.io.sources import find_sources
from vlmkit.core.io.web import Page, Reading

TEXTS = ["jsonl", "jsonl.gz", "txt", "warc", "warc.gz", "whole.warc.gz", "html", "parquet"]


def record(text: str) -> bytes:
    block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>{text}".encode()
    return f"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def rows(seed: int, count: int) -> Iterator[str]:
    """Texts whose size, and the share of which is good, change from one region of the input to the next."""
    rng = random.Random(seed)
    good, scale = 0.5, 1
    for _ in range(count):
        if rng.random() < 0.05:
            good, scale = rng.choice([0.2, 0.8]), rng.choice([1, 1, 4, 10])
        words = rng.choices(range(10**6), k=max(3, int(rng.expovariate(1 / (60 * scale)))))
        yield ("good " if rng.random() < good else "bad ") + " ".join(map(str, words))


def write(path: Path, texts: list[str]) -> None:
    records = [record(text) for text in texts]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    match path.name.partition(".")[2]:
        case "parquet":
            pq.write_table(pa.table({"text": texts}), path, row_group_size=50)
        case "html":
            for number, text in enumerate(texts):
                (path.parent / f"{number}.html").write_text(f"<html>{text}")
        case kind:
            whole = b"".join(records)
            parted = b"".join(map(gzip.compress, records))
            made = {"jsonl": lines, "txt": "\n\n".join(texts).encode(), "warc": whole, "warc.gz": parted}
            made |= {"jsonl.gz": gzip.compress(lines), "whole.warc.gz": gzip.compress(whole)}
            path.write_bytes(made[kind])


def sample(path: Path, most: int = MOST) -> Sample:
    return draw(find_sources([path]), Reading(), most=most)


def is_good(page: object) -> bool:
    assert isinstance(page, Page)
    return (page.text or (page.html or b"").decode().removeprefix("<html>")).startswith("good")


@pytest.mark.parametrize("kind", TEXTS)
def test_pages_of_small_inputs_are_counted(tmp_path, kind):
    texts = list(rows(1, 700))
    write(tmp_path / f"a.{kind}", texts)
    found = sample(tmp_path, 100)
    assert 75 <= found.count <= 100
    assert found.pages == pytest.approx(700)
    assert (found.error, found.fronts, found.whole) == (0, 0, False)
    every = [(page.source, page.offset, page.text, page.html) for one in found.stretches for page in one.pages]
    assert len(set(every)) == len(every)
    assert sample(tmp_path, 700).whole
    assert sample(tmp_path, 700).count == 700


@pytest.mark.parametrize("kind", ["jsonl", "warc.gz"])
def test_windows_of_large_files_tell_numbers_without_bias(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("vlmkit.core.io.sample.THROUGH", 0)
    errors, inside = [], 0
    for seed in range(8):
        texts = list(rows(seed, 1200))
        for number, cut in enumerate((texts[:100], texts[100:])):
            write(tmp_path / f"{number}.{kind}", cut)
        found = sample(tmp_path)
        assert found.fronts == 0
        good = sum(one.weight * sum(map(is_good, one.pages)) for one in found.stretches)
        errors.append(good / sum(text.startswith("good") for text in texts) - 1)
        inside += abs(found.pages - 1200) < 1.96 * found.error
        every = [(page.source, page.offset) for one in found.stretches for page in one.pages]
        assert len(set(every)) == len(every)
    assert inside >= 7
    assert abs(np.mean(errors)) < 2.5 * np.std(errors) / np.sqrt(8)


def test_large_files_that_cannot_be_entered_are_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr("vlmkit.core.io.sample.THROUGH", 0)
    texts = [text for text in rows(0, 1500) if len(text) < 3000]
    for kind in ("jsonl.gz", "warc", "whole.warc.gz"):
        write(tmp_path / f"a.{kind}", texts)
        found = sample(tmp_path / f"a.{kind}", 200)
        assert found.fronts == 1
        assert found.pages == pytest.approx(len(texts), rel=0.35)
        assert found.error > 0


def test_the_size_of_what_a_compressed_file_holds(tmp_path):
    import zstandard

    data = " ".join(rows(0, 3000)).encode()
    for name, made in (("a.gz", gzip.compress(data[:5000]) + gzip.compress(data[5000:])),
                       ("a.zst", zstandard.ZstdCompressor().compress(data)), ("a.txt", data)):  # fmt: skip
        (tmp_path / name).write_bytes(made)
        (source,) = find_sources([tmp_path / name]) if name == "a.txt" else [source_of(tmp_path / name)]
        assert inflated(source) == pytest.approx(len(data), rel=0.01)


def source_of(path: Path):
    from vlmkit.core.io.sources import Source

    return Source(path, path.name, "text", path.stat().st_size)


def test_nothing_but_empty_files_is_a_sample_of_what_they_are(tmp_path):
    for number in range(50):
        (tmp_path / f"{number}.jsonl").write_bytes(b"")
    assert sample(tmp_path, 10).pages == pytest.approx(50)
