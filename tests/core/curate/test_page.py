"""The page of a corpus: complete, escaped, small, and the same however the drop log is cut into files."""

import json
import random
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate.page import Origin, corpus_page
from vlmkit.core.curate.recipe import BASELINE, Step
from vlmkit.core.curate.survey import rows_at, survey
from vlmkit.core.io.html import plain
from vlmkit.core.io.manifest import Input
from vlmkit.core.io.tables import read_tables, write_table
from vlmkit.core.recipes.curate import run

NASTY = "</bdi></code><script>alert(1)</script><img src=x onerror='a'>&\"\x1b[31m\u202eabc\u2066 שלום עולם"
ORIGIN = Origin([Input(path="/secret/place/in.jsonl", kind="file", content_digest="ab" * 32)], {}, BASELINE, {})


class Reader(HTMLParser):
    """Tags in the order in which they open, closed in the opposite one, and words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"lang", "charset", "name", "content", "class", "style", "open"}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data if self.open[-1:] != ["style"] else ""


def drops(count: int, *, rules: int, size: int) -> Iterator[dict]:
    for number in range(count):
        yield {
            "id": f"{NASTY}{number}" + "&" * size, "step": "heuristics", "rule": f"rule_{number % rules}<b>",
            "value": float(number), "threshold": -1.0, "matched_id": "<" * size, "text": NASTY + "𝔸\n" * size,
            "url": "http://a.org/?<&" + "&" * size, "source": "s",
        }  # fmt: skip


def stages(kept: int, dropped: int) -> list[dict]:
    return [{"name": "read", "kept": kept + dropped, "dropped": 0, "chars": 5, "seconds": 1.5},
            {"name": "mixed<i>", "kept": kept, "dropped": dropped, "chars": None, "seconds": 2.5}]  # fmt: skip


def made(folder: Path, rows: list[dict], files: int = 1, steps: tuple[Step, ...] = BASELINE) -> str:
    for number in range(files):
        path = folder / f"dropped/part-{number:05d}.parquet"
        cut = rows[number * len(rows) // files : (number + 1) * len(rows) // files]
        write_table(path, cut, kind="dropped")
    document = {"id": "a", "text": "a", "url": None, "source": "s", "metadata": "{}", "language": NASTY}
    write_table(folder / "documents/part-00000.parquet", [document], kind="documents")
    values = {"documents": 1, "dropped": len(rows), "tokens": None, "stages": stages(1, len(rows)), "rules": {},
              "bloom": {"bits": 64, "false_positives": 0.009},
              "ledger": {"rows<": [NASTY], "seconds": 9.25}}  # fmt: skip
    origin = Origin(ORIGIN.inputs, {"recipe": NASTY, "dedup": ["exact"]}, steps, {"python": "3"})
    return corpus_page(values, origin, documents=folder / "documents", dropped=folder / "dropped")


def test_text_of_the_web_stays_text(tmp_path):
    rows = list(drops(7, rules=2, size=3))
    found = made(tmp_path, rows, steps=(Step(NASTY, {"banlist": NASTY}),))
    reader = Reader(found)
    assert not {"script", "img", "b", "a"} & reader.tags
    assert "<script>alert(1)</script>" in reader.words
    assert "שלום עולם" in reader.words
    assert not set("\x1b\u202e\u2066") & set(found)
    assert "/secret" not in found
    assert "9.25" not in found
    assert "mixed<i>" in reader.words
    assert "rows<" in reader.words


def test_the_page_is_small_whatever_the_corpus(tmp_path):
    banlist = [NASTY] * 5000
    found = made(tmp_path, list(drops(1600, rules=400, size=4000)), steps=(Step("f", {"banlist": banlist}),) * 500)
    assert len(found.encode()) < 1_000_000
    words = Reader(found).words
    assert "and 300 more rules" in words
    assert "and 200 more steps" in words


def test_examples_do_not_depend_on_the_files_and_are_those_of_their_rule(tmp_path):
    rows = list(drops(60, rules=4, size=1))
    shuffled = random.Random(0).sample(rows, len(rows))
    assert made(tmp_path / "one", rows) == made(tmp_path / "two", shuffled, files=5)
    rules = survey(tmp_path / "two/dropped")
    assert [(rule.name, rule.count) for rule in rules] == [(f"rule_{n}<b>", 15) for n in range(4)]
    for number, rule in enumerate(rules):
        assert rule.values == (number, number + 56)
        shown = rows_at(tmp_path / "two/dropped", [place for _, place in rule.examples])
        assert [row["rule"] for row in shown.values()] == [rule.name] * 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\n\t b", "a b"), ("x" * 5, "x" * 5), ("x" * 9, "xxxxx…"), ("\0\u202e\ud800x", "���x"),
     ("<&>\"'", "&lt;&amp;&gt;\"'")],
)  # fmt: skip
def test_plain_text(text, shown):
    assert plain(text, most=5) == f"<bdi>{shown}</bdi>"


def test_a_run_leaves_its_page_as_a_log_and_says_why_pages_went(tmp_path):
    texts = [
        "one two three of",
        "one two three of",
        "the one " * 60,
        NASTY,
        " ".join([*(f"word{n}" for n in range(60)), "of the"]),
    ]
    lines = [json.dumps({"id": f"d{n}", "text": text, "url": "http://a.org/<x>"}) for n, text in enumerate(texts)]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines, "{broken"]) + "\n")
    out = tmp_path / "out"
    stages = ("extract", "heuristics", "dedup")
    result = run(CurateConfig(inputs=(tmp_path / "in.jsonl",), out=out, stages=stages, workers=1))
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["logs"] == ["report.html"]
    assert all(output["path"] != "report.html" for output in manifest["outputs"])
    words = Reader((out / "report.html").read_text(encoding="utf-8")).words
    assert "What became of 6 pages" in words
    for row in read_tables(out / "dropped").to_pylist():
        assert row["id"] in words
        assert row["rule"] in words
    assert "value 4, bound 50" in words
    assert [stage["chars"] for stage in result.values["stages"]][-1] == len(texts[-1])
    assert "in.jsonl" in words
