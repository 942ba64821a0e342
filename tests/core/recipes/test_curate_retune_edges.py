"""Corpora that are odd, or rules that are, by other bounds."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.configs.curate_retune import RetuneConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io import sources
from vlmkit.core.io.job import Result
from vlmkit.core.recipes.curate import run
from vlmkit.core.recipes.curate_retune import run as retune

WORDS = "the river and the house that we have seen with the garden of a village in the morning near to that island"
LONG = {"func": "page_length_filter", "length_type": "word", "min_length": 10}
OWN = """
from vlmkit.core.curate.rules import Found

def place(page):
    length = len(page["text"])
    if length % 3 == 0:
        return length % 2 == 0
    return Found("place", length, high=60) if length % 3 == 1 else Found("place", length, high=length % 5 * 31)
"""


def write(path: Path, rows: list[dict]) -> Path:
    """Rows as JSON Lines."""
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def made(source: Path, out: Path, *steps: dict, **settings: object) -> Path:
    """The corpus of a recipe."""
    recipe = out.with_suffix(".yaml")
    recipe.write_text(yaml.safe_dump([{"source": "x", "steps": list(steps)}]))
    run(CurateConfig(inputs=(source,), out=out, **{"workers": 1, "recipe": str(recipe), **settings}))
    return out


def again(ledger: Path, out: Path | None = None, overwrite: bool = False, **bounds: str) -> Result:
    """The same corpus by other bounds."""
    return retune(RetuneConfig(ledger=ledger, bounds=bounds, out=out, workers=1, overwrite=overwrite))


def rows(folder: Path) -> list[dict]:
    """All rows of a table."""
    return pq.read_table(folder).to_pylist()


def ids(folder: Path) -> list[str]:
    """The ids of a table."""
    return [row["id"] for row in rows(folder)]


def pages(count: int) -> list[dict]:
    """Pages of other lengths, of which several have the same id, and some the same text."""
    words = WORDS.split()
    texts = [" ".join(words[n % 7 : n % 7 + 1 + 5 * n % 23]) for n in range(count)]
    return [{"id": f"p{n % 5}", "text": text, "url": f"http://a{n % 9}.org"} for n, text in enumerate(texts)]


def test_which_of_equal_ids_a_page_gets_depends_on_no_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "SMALLEST_PART", 1000)
    monkeypatch.setattr(sources, "LARGEST_PART", 1000)
    source = write(tmp_path / "in.jsonl", pages(60))
    old, new = (made(source, tmp_path / f"{n}", LONG | {"min_length": n}) for n in (18, 3))
    again(old, tmp_path / "tuned", page_length_filter="3")
    assert len(ids(new / "ledger")) == 60 > len(ids(new / "documents")) > len(ids(old / "documents"))
    for name in ("documents", "ledger"):
        assert rows(tmp_path / "tuned" / name) == rows(new / name)


def test_equal_ids_have_one_row_in_the_ledger_of_a_recipe_in_phases(tmp_path):
    source = write(tmp_path / "in.jsonl", [*pages(60), {"text": "short"}, {"text": "short"}])
    steps = [LONG, {"func": "exact_dedup"}, {"func": "word_length_filter", "max_length": 3.6}]
    out = made(source, tmp_path / "out", *steps, {"func": "exact_dedup", "content_key": "url"}, LONG)
    found = ids(out / "ledger")
    assert sorted(found) == sorted(ids(out / "documents") + ids(out / "dropped"))
    assert len(set(found)) == 62
    again(out, tmp_path / "same")
    assert rows(tmp_path / "same/documents") == rows(out / "documents")


def test_duplicates_among_pages_that_were_all_dropped_are_found(tmp_path):
    texts = [WORDS * 3, WORDS * 3, f"{WORDS * 3} and no more"]
    source = write(tmp_path / "in.jsonl", [{"id": f"{n}", "text": text} for n, text in enumerate(texts)])
    out = made(source, tmp_path / "out", LONG | {"min_length": 1000})
    assert ids(out / "documents") == []
    again(out, tmp_path / "tuned", page_length_filter="3")
    assert ids(tmp_path / "tuned/documents") == ["0"]


@pytest.mark.parametrize(("part", "lines"), [(63, 90), (29, 100), (7, 10), (1, 3)])
def test_a_bound_that_is_a_share_of_lines_judges_as_a_run_does(tmp_path, part, lines):
    text = "\n".join(f"{'• ' * (n < part)}{WORDS}" for n in range(lines))
    source = write(tmp_path / "in.jsonl", [{"id": "a", "text": text}])
    step, key = {"func": "bullet_count_filter"}, "max_bullet_start_ratio"
    old, new = (made(source, tmp_path / f"{n}", step | {key: n}) for n in (0.9, part / lines))
    again(old, tmp_path / "tuned", bullet_count_filter=repr(part / lines))
    assert ids(tmp_path / "tuned/documents") == ids(new / "documents")


def test_what_a_users_rule_drops_otherwise_than_by_its_bound_stays_dropped(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    source = write(tmp_path / "in.jsonl", pages(60))
    out = made(source, tmp_path / "out", {"func": f"{tmp_path / 'own.py'}:place"}, stages=("heuristics",))
    assert {row["rule"] for row in rows(out / "dropped")} == {"place", "own.py:place"}
    assert len(ids(out / "documents")) > 5
    again(out, tmp_path / "same")
    for name in ("documents", "dropped", "ledger"):
        assert str(rows(tmp_path / "same" / name)) == str(rows(out / name))  # not a number equals no other
    again(out, tmp_path / "tuned", place_2="1000")
    back = [row for row in rows(out / "dropped") if len(row["text"]) % 3 == 1]
    assert back
    assert sorted(ids(tmp_path / "tuned/documents")) == sorted(ids(out / "documents") + [row["id"] for row in back])


def test_a_corpus_is_not_written_over_itself_nor_taken_for_another(tmp_path):
    source = write(tmp_path / "in.jsonl", pages(20))
    out = made(source, tmp_path / "out", LONG)
    for ledger, place in ((out, out), (out / "ledger", out), (out, out / "ledger"), (out, out / "in"), (out, tmp_path)):
        with pytest.raises(InputError, match="inside the corpus, or around it"):
            again(ledger, place, overwrite=True, page_length_filter="3")
    assert ids(out / "documents")
    bare = made(source, tmp_path / "bare", LONG, ledger=False)
    bare.rename(out / "bare")
    with pytest.raises(InputError, match="no ledger is here"):
        again(out / "bare", page_length_filter="3")
