"""Recipes with steps that compare all pages: DCLM's C4 recipe end to end, whoever works on it, killed or not."""

import hashlib
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate import phases
from vlmkit.core.curate.operations import Setting
from vlmkit.core.curate.recipe import Kitchen, read_recipe
from vlmkit.core.errors import CapabilityError, InputError
from vlmkit.core.io.job import Result
from vlmkit.core.recipes import curate as recipe

C4 = Path(__file__).parents[4] / "shared/data/dclm-recipe/c4.yaml"
PARAGRAPHS = """
- source: any
  steps:
  - func: split_lines_modifier
  - func: exact_dedup
    normalize: normalize_whitespace_and_lowercase
  - func: join_lines_modifier
"""
LANGDETECT = """
class DetectorFactory:
    seed = None
class LangDetectException(Exception):
    pass
class Language:
    def __init__(self, lang, prob):
        self.lang, self.prob = lang, prob
def detect_langs(text):
    return [Language("en", 0.995 if "the" in text.lower().split() else 0.5)]
"""
WORDS = ["the", "river", "garden", "window", "market", "winter", "morning", "engine", "letter", "island", "bridge"]


def line(rng: random.Random) -> str:
    """Two sentences of prose."""
    return " ".join(" ".join(["The", *rng.choices(WORDS, k=rng.randint(6, 9))]) + "." for _ in range(2))


def pages(count: int) -> list[dict]:
    """Pages that share addresses and lines, some in other letters."""
    rng = random.Random(5)
    common = [line(rng) for _ in range(8)]
    found = []
    for number in range(count):
        lines = [line(rng) for _ in range(rng.randint(1, 3))] + rng.sample(common, 2)
        if number % 9 == 4:
            lines = [one.upper() if number % 2 else f" {one}" for one in common]
        if number % 11 == 5:
            lines = [lines[0], "A line of javascript that must go.", "too short."]
        if number % 13 == 6:
            lines.append("Here a { is in the text and drops it all.")
        url = f"http{'s' * (number % 2)}://{'www.' * (number % 3 > 0)}a.org/{number % (count * 4 // 5)}/"
        found.append({"id": f"p{number}", "text": "\n".join(lines), "url": url})
    return found


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def kitchenware(tmp_path, monkeypatch) -> Path:
    """What C4 needs, each in a small stand-in: the folder of assets; langdetect is found by all processes."""
    (tmp_path / "langdetect.py").write_text(LANGDETECT)
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "assets/tokenizers/punkt_tab/english"
    folder.mkdir(parents=True)
    for name in ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt"):
        (folder / name).write_text("mr\n" if name.startswith("abbrev") else "")
    (tmp_path / "assets/ldnoobw.txt").write_text("badword\nisland island\n")
    return tmp_path / "assets"


@pytest.fixture
def small_parts(monkeypatch) -> None:
    monkeypatch.setattr("vlmkit.core.io.sources.SMALLEST_PART", 3000)
    monkeypatch.setattr("vlmkit.core.io.sources.LARGEST_PART", 3000)


def curate(source: Path, out: Path, **settings: object) -> Result:
    words = {"workers": 1, "dedup": ("exact",)} | settings
    return recipe.run(CurateConfig(inputs=(source,), out=out, **words))  # type: ignore[arg-type]


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def content(out: Path) -> str:
    return json.loads((out / "manifest.json").read_text())["content_digest"]


def naive(found: list[dict], units: Callable[[dict], list[str]], rank: Callable[[dict], str]) -> dict[str, dict]:
    """Who keeps each unit: the least page by `rank`, the first of equals; with dictionaries of the units themselves."""
    owner: dict[str, dict] = {}
    for page in found:
        for unit in units(page):
            if unit not in owner or rank(page) < rank(owner[unit]):
                owner[unit] = page
    return owner


def bare(url: str) -> str:
    return re.sub("^https?://(www[.])?", "", url).rstrip("/")


def expected(found: list[dict], assets: Path) -> tuple[dict[str, str], dict[str, tuple[str, str | None]]]:
    """What the C4 recipe leaves and drops, by its steps on all pages at once: texts; rule and match of the dropped."""
    kitchen = Kitchen(read_recipe(str(C4)), Setting(assets=assets))
    dropped: dict[str, tuple[str, str | None]] = {}

    def through(phase: int, some: list[dict]) -> list[dict]:
        left = []
        for page in some:
            drop = kitchen(page, phase)
            if drop:
                dropped[page["id"]] = (drop.rule, None)
            else:
                left.append(page)
        return left

    alive = through(0, [page | {"metadata": {"WARC-Target-URI": page["url"]}} for page in found])
    owner = naive(alive, lambda page: [bare(page["url"])], lambda page: "")
    dropped |= {p["id"]: ("exact_dedup", owner[bare(p["url"])]["id"]) for p in alive if owner[bare(p["url"])] is not p}
    alive = through(1, [page for page in alive if owner[bare(page["url"])] is page])
    owner = naive(
        alive,
        lambda p: [one.strip().lower() for one in p["text"]],
        lambda p: hashlib.md5(p["url"].encode()).hexdigest(),
    )
    seen: set[str] = set()
    left = []
    for page in alive:
        whole = [one.strip().lower() for one in page["text"]]
        kept = []
        for text, unit in zip(page["text"], whole, strict=True):
            if owner[unit] is page and unit not in seen:
                seen.add(unit)
                kept.append(text)
        if kept:
            left.append(page | {"text": kept})
        else:
            dropped[page["id"]] = ("exact_dedup", owner[whole[0]]["id"])
    return {page["id"]: page["text"] for page in through(2, left)}, dropped


def test_the_recipe_of_c4_runs_unchanged(tmp_path, kitchenware, small_parts):
    if not C4.is_file():
        pytest.skip(f"{C4} is not here")
    found = pages(70)
    source = write(tmp_path / "in.jsonl", found)
    texts, reasons = expected(found, kitchenware)
    one = curate(source, tmp_path / "one", recipe=str(C4), assets=kitchenware)
    assert {row["id"]: row["text"] for row in rows(tmp_path / "one/documents")} == texts
    dropped = {row["id"]: row for row in rows(tmp_path / "one/dropped")}
    assert {name: (row["rule"], row["matched_id"]) for name, row in dropped.items()} == reasons
    assert {row["text"] for row in dropped.values()} <= {row["text"] for row in found}
    assert {rule for rule, _ in reasons.values()} >= {"exact_dedup", "substring_filter", "page_length_filter"}
    assert sum(match is not None for _, match in reasons.values()) > 14  # a fifth by address, and pages of common lines
    stages = {stage["name"]: (stage["kept"], stage["dropped"]) for stage in one.values["stages"]}
    assert stages["read"] == stages["extract"] == (70, 0)
    assert stages["heuristics"] == (len(texts), len(reasons))
    assert sum(one.values["rules"].values()) == len(reasons)
    curate(source, tmp_path / "two", recipe=str(C4), assets=kitchenware, workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_what_c4_needs_is_named_before_the_first_page(tmp_path, kitchenware, monkeypatch):
    if not C4.is_file():
        pytest.skip(f"{C4} is not here")
    source = write(tmp_path / "in.jsonl", pages(3))
    (kitchenware / "ldnoobw.txt").unlink()
    with pytest.raises(InputError, match=r"ldnoobw\.txt") as caught:
        curate(source, tmp_path / "out", recipe=str(C4), assets=kitchenware)
    assert caught.value.where.startswith("step 19 of the recipe, substring_filter")
    (kitchenware / "ldnoobw.txt").write_text("badword\n")
    monkeypatch.setitem(__import__("sys").modules, "langdetect", None)
    with pytest.raises(CapabilityError, match="langdetect is not installed"):
        curate(source, tmp_path / "out", recipe=str(C4), assets=kitchenware)
    assert not (tmp_path / "out").exists()


class Killed(Exception):
    """Stands for the end of the process: nothing after it runs."""


@pytest.mark.parametrize("phase", [0, 1])
def test_a_run_that_ends_in_any_phase_goes_on_to_the_same_bytes(tmp_path, small_parts, monkeypatch, phase):
    source = write(tmp_path / "in.jsonl", pages(60))
    (tmp_path / "r.yaml").write_text(PARAGRAPHS)
    settings = {"recipe": str(tmp_path / "r.yaml")}
    curate(source, tmp_path / "whole", **settings)
    name = ("work_on", "go_on")[phase]
    real, worked = getattr(phases, name), []

    def dying(bench, number, task):
        if len(worked) == 3:
            raise Killed
        worked.append(number)
        return real(bench, number, task)

    with monkeypatch.context() as patch:
        patch.setattr(phases, name, dying)
        with pytest.raises(Killed):
            curate(source, tmp_path / "killed", **settings)
    again = []
    monkeypatch.setattr(phases, name, lambda bench, number, task: (again.append(number), real(bench, number, task))[1])
    curate(source, tmp_path / "killed", **settings)
    assert len(worked) == 3
    assert again
    assert not set(again) & set(worked)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert not (tmp_path / "killed/.vlmkit").exists()


def test_ids_that_occur_twice_are_told_apart_where_pages_are_matched(tmp_path, small_parts, caplog):
    found = [{"id": "a", "text": "one line\nanother"}, {"id": "a", "text": "x y\nz"}, {"id": "b", "text": "Z\nx y"}]
    (tmp_path / "r.yaml").write_text(PARAGRAPHS)
    curate(write(tmp_path / "in.jsonl", found), tmp_path / "out", recipe=str(tmp_path / "r.yaml"))
    assert [row["id"] for row in rows(tmp_path / "out/documents")] == ["a", "a#2"]
    (dropped,) = rows(tmp_path / "out/dropped")
    assert (dropped["id"], dropped["matched_id"], dropped["text"]) == ("b", "a#2", "Z\nx y")
    assert caplog.text.count("came with an id that another one has") == 1


def test_pages_without_an_address_are_not_one_page(tmp_path):
    (tmp_path / "r.yaml").write_text("- source: a\n  steps:\n  - func: exact_dedup\n    content_key: url\n")
    source = write(tmp_path / "in.jsonl", [{"text": f"text {number}"} for number in range(4)])
    assert curate(source, tmp_path / "out", recipe=str(tmp_path / "r.yaml")).values["documents"] == 4
