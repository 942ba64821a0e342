"""Paragraphs that repeat: `old-both` against its definition with a plain set, the filter's rate, and the stage."""

import itertools
import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import regex

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate.bloom import PIECE, ExactSet, Filter, OldBoth, count_ngrams, cut, ngrams
from vlmkit.core.errors import InputError
from vlmkit.core.recipes.curate import run as curate

WORDS = [
    "the",
    "Ström",
    "it's",
    "3.14",
    "—",
    "naïve",
    "日本",
    "U.S.",
    "a_b",
    "x",
    "é",
    "…",
    "and",
    "of",
    "кот",
    "1,000",
]


def old_both(text, seen, *, threshold=0.8, size=13):
    """The published algorithm, word by word: words by UAX 29, paragraphs cut before line feeds, a set of tuples."""
    edges = [0, *(at for at, char in enumerate(text) if char == "\n"), len(text)]
    kept, total, known = [], 0, 0
    for start, end in itertools.pairwise(edges):
        words = [one for one in regex.split(r"(?w)\b", text[start:end], flags=regex.V1) if one and not one.isspace()]
        grams = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
        contained = sum(gram in seen for gram in grams)
        total, known = total + len(grams), known + contained
        if grams and contained / len(grams) > threshold:
            continue
        seen.update(grams)
        kept.append(text[start:end])
    return "" if total and known / total > threshold else "".join(kept)


def pages(count, generator):
    """Pages of paragraphs, some of which were there before, whole or in part."""
    pool, found = [], []
    for _ in range(count):
        paragraphs = []
        for _ in range(int(generator.integers(1, 6))):
            if pool and generator.random() < 0.5:
                words = list(pool[int(generator.integers(len(pool)))])
                for _ in range(int(generator.integers(0, 3))):
                    words[int(generator.integers(len(words)))] = f"new{generator.integers(100)}"
            else:
                chosen = generator.choice(WORDS, int(generator.integers(1, 60)))
                words = [f"{word}{number if number % 3 else ''}" for number, word in enumerate(chosen)]
            pool.append(words)
            paragraphs.append(" ".join(words))
        found.append(("\n" * int(generator.integers(1, 3))).join(paragraphs))
    return found


def test_paragraphs_and_pages_go_as_the_algorithm_says():
    generator = np.random.default_rng(0)
    every = [*pages(300, generator), "", "\n", "\n\nshort\n", " ".join(WORDS * 3), " ".join(WORDS * 3)]
    exact, filtered, seen = OldBoth(ExactSet()), OldBoth(Filter(sum(map(count_ngrams, every)), rate=1e-9)), set()
    outcomes = set()
    for text in every:
        expected = old_both(text, seen)
        assert exact(text)[0] == expected
        assert filtered(text)[0] == expected
        outcomes.add("whole" if expected == text else "part" if expected else "none")
    assert outcomes == {"whole", "part", "none"}
    assert exact.removed > 20


def test_the_bound_is_strict_and_short_paragraphs_have_no_share():
    base = [f"w{number}" for number in range(22)]  # ten 13-grams
    changed = [*base[:20], "x", "y"]  # eight of them
    run = OldBoth(ExactSet())
    assert run(" ".join(base)) == (" ".join(base), 0.0)
    assert run(" ".join(changed)) == (" ".join(changed), 0.8)
    assert run(" ".join(base)) == ("", 1.0)
    assert run("a b c") == ("a b c", 0.0)
    assert run("a b c") == ("a b c", 0.0)
    assert cut("\na\n\nb") == ["", "\na", "\n", "\nb"]
    assert ngrams("one two").size == 0


def test_a_paragraph_repeated_within_its_page_goes():
    paragraph = " ".join(f"w{number}" for number in range(20))
    other = " ".join(f"v{number}" for number in range(80))
    run = OldBoth(ExactSet())
    assert run(f"{paragraph}\n{other}\n{paragraph}")[0] == f"{paragraph}\n{other}"
    assert run.removed == 1


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_the_filter_keeps_the_rate_that_it_promises(rate):
    generator = np.random.default_rng(1)
    entries = generator.integers(0, 1 << 63, 20_000, dtype=np.uint64)
    seen = Filter(entries.size, rate=rate)
    seen.add(entries)
    assert seen.holds(entries).all()
    others = generator.integers(0, 1 << 63, 400_000, dtype=np.uint64)
    found = seen.holds(others).mean()
    assert found <= 1.15 * rate + 3 * math.sqrt(rate / others.size)
    assert found >= 0.7 * rate
    assert seen.full**seen.hashes == pytest.approx(found, rel=0.15, abs=3 * math.sqrt(rate / others.size))


def test_set_bits_are_counted_over_all_of_a_large_filter():
    generator = np.random.default_rng(3)
    seen = Filter(20_000_000, rate=0.5)
    assert seen.bytes.size > 3 * PIECE
    seen.bytes[:] = generator.integers(0, 256, seen.bytes.size, dtype=np.uint8)
    assert seen.full == np.unpackbits(seen.bytes).sum() / int(seen.bits)


def test_pages_that_differ_are_all_kept():
    """A filter of the size that follows from the pages: three hundred different ones lose nothing."""
    generator = np.random.default_rng(2)
    every = [" ".join(f"w{one}" for one in generator.integers(0, 10**6, 60)) for _ in range(300)]
    run = OldBoth(Filter(sum(map(count_ngrams, every)), rate=0.01))
    assert [run(text)[0] for text in every] == every


def test_the_stage_takes_paragraphs_out_and_logs_pages(tmp_path):
    first = " ".join(f"w{number} the of" for number in range(40))
    second = " ".join(f"v{number} and to" for number in range(60))
    texts = [first, f"{second}\n{first}", second, f"tail\n{second}"]
    lines = [json.dumps({"id": f"p{at}", "text": text}) + "\n" for at, text in enumerate(texts)]
    (tmp_path / "in.jsonl").write_text("".join(lines))
    words = {"inputs": (tmp_path / "in.jsonl",), "stages": ("extract", "dedup"), "dedup": ("bloom",)}
    runs = {"a": 1, "b": 2}
    found = [curate(CurateConfig(out=tmp_path / name, workers=count, **words)).values for name, count in runs.items()]
    documents = {row["id"]: row["text"] for row in pq.read_table(tmp_path / "a/documents").to_pylist()}
    assert documents == {"p0": first, "p1": second}
    dropped = {row["id"]: row for row in pq.read_table(tmp_path / "a/dropped").to_pylist()}
    assert set(dropped) == {"p2", "p3"}
    reasons = {(row["step"], row["rule"], row["value"], row["threshold"]) for row in dropped.values()}
    assert reasons == {("dedup", "bloom_duplicate", 1.0, 0.8)}
    bloom = found[0]["bloom"]
    assert bloom == found[1]["bloom"]
    assert (bloom["paragraphs"], bloom["documents_changed"]) == (1, 1)
    assert bloom["ngrams"] == sum(map(count_ngrams, texts))
    assert bloom["false_positives"] <= 0.01
    assert found[0]["rules"] == {"bloom_duplicate": 2}
    with pytest.raises(InputError, match="no rate"):
        CurateConfig(out=tmp_path / "c", bloom_rate=1.0, **words)
