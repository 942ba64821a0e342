"""Mixes of sources: shares kept, samples nested, passes only when asked, shortage told, DCLM's file."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate.left import Document
from vlmkit.core.curate.mix import Share, named, nearest_count, read_mix
from vlmkit.core.errors import InputError
from vlmkit.core.recipes.curate import run

# The form of open_lm/datapreprocess/metadata/rpj_lm_data.yaml, with sources of our own.
FREQUENCIES = """
sources:
  - source: "UNKNOWN"
    markers: []
  - source: "WEB"
    markers: ["crawl", "web"]
  - source: "BOOKS"
    markers: ["book"]
sampling_frequencies:
  WEB: 0.5
  BOOKS: 2.25
  UNKNOWN: 0
"""


@pytest.fixture
def corpora(tmp_path) -> list[Path]:
    """Folders web (300 documents of 101 tokens each, by their bytes), books (40) and notes (10)."""
    found = []
    for name, count in (("web", 300), ("books", 40), ("notes", 10)):
        folder = tmp_path / name
        folder.mkdir()
        lines = [{"id": f"{name}-{k}", "text": f"{name} {k:03d} ".ljust(400, "x")} for k in range(count)]
        (folder / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        found.append(folder)
    return found


def curate(inputs: list[Path], out: Path, *mix: str, **settings):
    given = {"stages": ("extract", "mix"), "workers": 1} | settings
    return run(CurateConfig(inputs=tuple(inputs), out=out, mix=mix, **given))


def ids(out: Path) -> list[str]:
    return [row["id"] for row in pq.read_table(out / "documents", columns=["id"]).to_pylist()]


def test_shares_are_kept_and_what_is_left_out_is_told(tmp_path, corpora):
    result = curate(corpora, tmp_path / "out", "web=3", "books=1", "notes=0", mix_tokens=8080)
    told = result.values["mix"]
    assert told["tokens_by"] == "utf-8 bytes / 4"
    assert told["sources"]["web"] == {
        "documents": 300, "available": 30300, "wanted": 6060, "taken": 6060, "documents_taken": 60, "epochs": 0.2,
    }  # fmt: skip
    assert told["sources"]["books"] == {
        "documents": 40, "available": 4040, "wanted": 2020, "taken": 2020, "documents_taken": 20, "epochs": 0.5,
    }  # fmt: skip
    assert told["sources"]["notes"]["documents_taken"] == 0
    kept = ids(tmp_path / "out")
    assert [sum(name.startswith(source) for name in kept) for source in ("web", "books", "notes")] == [60, 20, 0]
    dropped = pq.read_table(tmp_path / "out/dropped").to_pylist()
    assert result.values["rules"] == {"mix": 270} == {"mix": len(dropped)}
    assert all(row["value"] > row["threshold"] for row in dropped)
    thresholds = {row["id"].partition("-")[0]: row["threshold"] for row in dropped}
    assert thresholds == {"web": 0.2, "books": 0.5, "notes": 0.0}


def test_a_larger_budget_takes_the_same_and_more_whatever_the_order_or_workers(tmp_path, corpora, monkeypatch):
    small = curate(corpora, tmp_path / "small", "web=1", "books=1", "notes=0", mix_tokens=2000)
    curate(corpora, tmp_path / "large", "web=1", "books=1", "notes=0", mix_tokens=4000)
    assert set(ids(tmp_path / "small")) < set(ids(tmp_path / "large"))
    monkeypatch.setattr("vlmkit.core.io.sources.SMALLEST_PART", 8000)
    monkeypatch.setattr("vlmkit.core.io.sources.LARGEST_PART", 8000)
    again = curate(corpora[::-1], tmp_path / "again", "web=1", "books=1", "notes=0", mix_tokens=2000, workers=2)
    assert sorted(ids(tmp_path / "again")) == sorted(ids(tmp_path / "small"))
    assert again.values["mix"] == small.values["mix"]
    other = curate(corpora, tmp_path / "other", "web=1", "books=1", "notes=0", mix_tokens=2000, seed=1)
    assert other.values["documents"] == small.values["documents"]
    assert set(ids(tmp_path / "other")) != set(ids(tmp_path / "small"))


def test_without_a_budget_the_mix_is_as_large_as_the_weights_allow(tmp_path, corpora):
    sources = curate(corpora, tmp_path / "out", "web=0.6", "books=0.3", "notes=0.1").values["mix"]["sources"]
    assert {name: told["taken"] for name, told in sources.items()} == {"web": 6060, "books": 3030, "notes": 1010}


def test_a_source_that_is_short_is_told_and_repeated_only_when_asked(tmp_path, corpora):
    with pytest.raises(InputError) as error:
        curate(corpora, tmp_path / "out", "web=1", "books=1", "notes=0", mix_tokens=20_200)
    assert "books has 4,040 of 10,100" in error.value.what
    assert "--mix-tokens 8080" in error.value.fix
    assert curate(corpora, tmp_path / "most", "web=1", "books=1", "notes=0", mix_tokens=8080).values["documents"] == 80
    with pytest.raises(InputError, match="books has"):
        curate(corpora, tmp_path / "out2", "web=1", "books=1", "notes=0", mix_tokens=20_200, mix_repeat=2)
    result = curate(corpora, tmp_path / "many", "web=1", "books=1", "notes=0", mix_tokens=20_200, mix_repeat=3)
    assert result.values["mix"]["sources"]["books"]["epochs"] == 2.5
    kept = ids(tmp_path / "many")
    assert (len(kept), len(set(kept))) == (200, 200)
    books = [name for name in kept if name.startswith("books")]
    passes = [books[:40], books[40:80], books[80:]]
    assert [name.partition("#")[2] for name in (passes[0][0], passes[1][0], passes[2][0])] == ["", "pass-2", "pass-3"]
    assert {name.partition("#")[0] for name in passes[1]} == set(passes[0])
    assert len(passes[2]) == 20


def test_tokens_are_counted_by_the_tokenizer_where_one_is_given(tmp_path, corpora):
    curate(corpora, tmp_path / "first", "web=1", stages=("extract", "tokenize"), tokenizer="train", vocab_size=300)
    words = {"stages": ("extract", "mix", "tokenize"), "tokenizer": str(tmp_path / "first/tokens/tokenizer")}
    result = curate(corpora, tmp_path / "out", "web=1", "books=1", "notes=0", **words)
    assert result.values["mix"]["tokens_by"] == "tokenizer"
    assert result.values["tokens"] == sum(told["taken"] for told in result.values["mix"]["sources"].values())


@pytest.mark.parametrize("suffix", ["yaml", "toml"])
def test_a_file_of_sources(tmp_path, corpora, suffix):
    text = {
        "yaml": "tokens: 5050\nsources:\n  most: {weight: 1, match: [web, 'note*/*']}\n"
        "  books: {tokens: 10100, repeat: 3}\n",
        "toml": 'tokens = 15150\n[sources]\nbooks = {tokens = 10100, repeat = 3}\n[sources.most]\nweight = 1\n'
        'match = ["web", "*/notes"]\n',
    }[suffix].replace("tokens: 5050", "tokens: 15150").replace("note*/*", "*/notes")  # fmt: skip
    file = tmp_path / f"mix.{suffix}"
    file.write_text(text)
    sources = curate(corpora, tmp_path / "out", str(file)).values["mix"]["sources"]
    assert (sources["most"]["documents"], sources["most"]["taken"]) == (310, 5050)
    assert (sources["books"]["taken"], sources["books"]["epochs"]) == (10100, 2.5)


def test_the_sampling_frequencies_of_dclm(tmp_path, corpora):
    file = tmp_path / "frequencies.yaml"
    file.write_text(FREQUENCIES)
    given = tmp_path / "given"
    given.mkdir()
    for folder in corpora:
        folder.rename(given / folder.name)
    sources = curate([given], tmp_path / "out", str(file)).values["mix"]["sources"]
    assert {name: (told["epochs"], told["documents"]) for name, told in sources.items()} == {
        "WEB": (0.5, 300), "BOOKS": (2.25, 40), "UNKNOWN": (0.0, 10),
    }  # fmt: skip


def test_documents_of_no_source_are_told(tmp_path, corpora, caplog):
    result = curate(corpora, tmp_path / "out", "web=1", "books=1")
    assert result.values["mix"]["documents_of_no_source"] == 10
    assert "belong to no source" in caplog.text
    with pytest.raises(InputError, match="no document belongs to 'boks'"):
        curate(corpora, tmp_path / "out2", "web=1", "boks=1")


NAMES = {  # pattern, source column, input -> whether it fits
    ("web", "a.jsonl", "/data/web"): True,
    ("web", "web/a.jsonl", "/data"): True,
    ("web", "x/web.jsonl.gz", "/data"): True,
    ("web.jsonl.gz", "web.jsonl.gz", "/data/web.jsonl.gz"): True,
    ("data/web", "a.jsonl", "/data/web"): True,
    ("web", "webster/a.jsonl", "/data/books"): False,
    ("web", "a.jsonl", "/web/books"): False,
    ("web/*.warc", "web/a.warc", "/data"): True,
    ("web/*.warc", "web/a.jsonl", "/data"): False,
    (".", "a.jsonl", "/data"): False,
}


@pytest.mark.parametrize("case", NAMES)
def test_what_a_name_fits(case):
    pattern, source, given = case
    assert named(pattern, Document(0, "i", source, "t", given)) is NAMES[case]


def test_the_count_nearest_to_what_is_wanted():
    ends = np.array([10, 30, 60])
    wanted = {0: 0, 4: 0, 5: 1, 10: 1, 19: 1, 20: 2, 44: 2, 45: 3, 60: 3, 99: 3}
    assert {want: nearest_count(ends, want) for want in wanted} == wanted


REFUSED = {
    "a weight below zero": (["web=-1"], "from zero on"),
    "no number": (["web=much"], "from zero on"),
    "nothing wanted": (["web=0"], "nothing is wanted"),
    "no name": (["=1"], "no name"),
    "twice": (["web=1", "web=2"], "two sources"),
    "no such file": (["mix.yaml"], "no such file"),
    "a file and words": (["mix.yaml", "web=1"], "other words"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    words, what = REFUSED[name]
    with pytest.raises(InputError, match=what):
        read_mix(words, tokens=None, repeat=1)


def test_the_first_source_that_fits_has_a_document():
    recipe = read_mix(["web/news=1", "web=1"], tokens=None, repeat=1)
    assert recipe.shares[0] == Share("web/news", 1.0)
    fits = [share.fits(Document(0, "i", "web/news/a.html", "t", "/d")) for share in recipe.shares]
    assert fits == [True, True]  # `count` takes the first
