"""Recipes by name: their files, their rules against datatrove's where it is right, and what users bring themselves."""

import gzip
import json
from importlib import metadata
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from vlmkit.core.configs.curate import RECIPES, CurateConfig
from vlmkit.core.curate import custom
from vlmkit.core.curate.operations import Setting
from vlmkit.core.curate.ops import get
from vlmkit.core.curate.quality import Training, train
from vlmkit.core.curate.recipe import BASELINE, Kitchen, named_recipes, read_recipe, step
from vlmkit.core.curate.rules import Drop
from vlmkit.core.curate.sentences import splitter
from vlmkit.core.errors import InputError, RunError
from vlmkit.core.io.job import Result
from vlmkit.core.recipes.curate import run

VECTORS = Path(__file__).parents[4] / "shared/data/dclm-vectors/vectors.jsonl.gz"
WEB = Path(__file__).parents[4] / "shared/data/web/pages.warc.gz"


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """954 texts of pages and documentation, some made to be awkward."""
    if not VECTORS.is_file():
        pytest.skip(f"{VECTORS} is not here")
    with gzip.open(VECTORS, "rt") as file:
        return [json.loads(line)["text"] for line in file]


def curate(source: Path, out: Path, **settings: object) -> Result:
    return run(CurateConfig(inputs=(source,), out=out, **{"workers": 1, **settings}))  # type: ignore[arg-type]


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_every_recipe_that_is_named_can_be_made_without_a_file_of_others():
    assert named_recipes() == list(RECIPES)
    for name in named_recipes():
        Kitchen(read_recipe(name), Setting())
    ban, *others = read_recipe("refinedweb")
    assert (ban.func, tuple(others)) == ("url_substring_filter", BASELINE)
    with pytest.raises(InputError, match="no recipe 'finweb'") as caught:
        read_recipe("finweb")
    assert all(name in caught.value.fix for name in RECIPES)


@pytest.fixture(scope="module")
def news(tmp_path_factory) -> dict[str, dict[str, str]]:
    """What each recipe leaves of 127 pages of news: texts by address; `text` is what is extracted."""
    if not WEB.is_file():
        pytest.skip(f"{WEB} is not here")
    out, found = tmp_path_factory.mktemp("news"), {}
    for name in (*RECIPES, "text"):
        words = {"stages": ("extract",)} if name == "text" else {"recipe": name, "stages": ("extract", "heuristics")}
        curate(WEB, out / name, **words)
        found[name] = {row["url"]: row["text"] for row in rows(out / name / "documents")}
    return found


def test_recipes_keep_most_news_and_drop_some(news):
    assert all(60 < len(news[name]) < 127 for name in RECIPES)


def test_refinedweb_is_dclm_without_hosts_of_curated_text(news):
    hosts = read_recipe("refinedweb")[0].kwargs["banlist"]
    assert news["refinedweb"] == {url: text for url, text in news["dclm"].items() if url.split("/")[2] not in hosts}


def test_gopher_only_filters_and_keeps_what_the_stricter_fineweb_keeps(news):
    assert all(news["text"][url] == text for url, text in news["gopher"].items())
    assert set(news["fineweb"]) <= set(news["gopher"])
    different = set(news["gopher"]) - set(news["dclm"])
    assert len(different) < 10  # dclm also drops pages that lose many words, gopher those with few different stop words


def test_c4_leaves_whole_sentences_once_each(news):
    lines = [line for text in news["c4"].values() for line in text.split("\n")]
    assert all(line.rstrip().endswith((".", "!", "?", '"')) and len(line.split()) >= 5 for line in lines if line)
    assert len({line.strip().lower() for line in lines}) == len(lines) > 1000


def test_fineweb_keeps_pages_within_its_three_bounds(news):
    for text in news["fineweb"].values():
        lines = [line for line in text.split("\n") if line.strip()]
        assert sum(line.endswith((".", "!", "?")) for line in lines) > 0.12 * len(lines)
        assert sum(len(line) < 30 for line in lines) < 0.67 * len(lines)
        assert sum(map(len, lines)) - sum(map(len, set(lines))) < 0.1 * sum(map(len, lines))


def test_a_folder_of_the_name_of_a_recipe_does_not_take_its_place(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    monkeypatch.chdir(tmp_path)
    words = {"stages": ("extract", "heuristics"), "recipe": "gopher"}
    curate(Path("a.jsonl"), Path("gopher"), **words)
    assert curate(Path("a.jsonl"), Path("gopher"), **words).reused


EDGES = [  # operation, its arguments, text, and the value at which it is dropped, or None
    ("line_end_filter", {"min_ratio": 0.25}, "a.\nb\nc\nd", 0.25), ("line_end_filter", {}, "a。\nb", None),
    ("line_end_filter", {}, "a. \nb\n \n", 0.0), ("line_end_filter", {"min_ratio": 0.25}, "a!\nb?\nc", None),
    ("short_line_filter", {"max_ratio": 0.5}, "a" * 29 + "\n" + "b" * 30, 0.5),
    ("short_line_filter", {}, "a" * 30, None), ("short_line_filter", {}, "a\nb\n" + "c" * 30, None),
    ("short_line_filter", {"shorter_than": 31}, "a" * 30, 1.0),
    ("repeated_line_filter", {"max_ratio": 0.25}, "ab\nab\ncdef", 0.25), ("repeated_line_filter", {}, "a\nb", None),
    ("repeated_line_filter", {"max_ratio": 0.26}, "ab\nab\ncdef", None),
    ("symbol_share_filter", {"symbols": ["#"], "max_ratio": 0.5}, "#a ... b", None),
    ("symbol_share_filter", {"symbols": ["...", "…"], "max_ratio": 0.5}, "a… b...", 1.0),
    ("symbol_share_filter", {"symbols": "#"}, "# a", 0.5),
    ("line_sentence_filter", {"min_length": 3}, "One. Two.\nthree", None),
    ("line_sentence_filter", {"min_length": 3}, "One. Two.", 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kwargs", "text", "value"), EDGES)
def test_a_rule_on_lines_at_its_bound(name, kwargs, text, value):
    drop = Kitchen([step(name, **kwargs)], Setting())({"text": text})
    bound = next((one for word, one in kwargs.items() if word.startswith(("min_", "max_"))), 0.1)
    if value is None:
        assert drop is None
    elif drop.rule != "line_end_filter" or "min_ratio" in kwargs:
        assert (drop.rule, drop.value) == (name, value)
        assert drop.threshold == (bound if "shorter_than" not in kwargs else 0.67)


@pytest.mark.parametrize("name", ["line_end_filter", "short_line_filter", "line_sentence_filter"])
def test_a_page_of_blank_lines_is_dropped(name):
    assert get(name)()({"text": " \n\n"}) == []


def test_finewebs_rules_decide_as_datatroves(texts, monkeypatch):
    module = pytest.importorskip("datatrove.pipeline.filters.fineweb_quality_filter")
    from datatrove.data import Document

    monkeypatch.setattr(module, "split_into_words", lambda text, language: text.split() or [""])
    names = {"line_punct_ratio": "line_end_filter", "short_line_ratio": "short_line_filter"}
    names |= {"char_dup_ratio": "repeated_line_filter", "empty": "line_end_filter"}
    for ratio in (0.1, 0.01):  # the paper's and the code's
        theirs = module.FineWebQualityFilter(char_duplicates_ratio=ratio, new_line_ratio=float("inf"))
        steps = [step("line_end_filter"), step("short_line_filter", shorter_than=31)]  # theirs: up to 30, included
        kitchen = Kitchen([*steps, step("repeated_line_filter", max_ratio=ratio)], Setting())
        seen, at_bound = [], 0
        for text in texts:
            found = theirs.filter(Document(text=text, id=""))
            drop = kitchen({"text": text})
            if drop and drop.value == drop.threshold:  # the paper drops what is at a bound, the code keeps it
                at_bound += 1
                continue
            assert (drop.rule if drop else None) == (None if found is True else names[found[1]])
            seen.append(drop)
        assert {drop.rule for drop in seen if drop} == set(names.values())
        assert at_bound < 3


@pytest.mark.parametrize("punctuation", [True, False])
def test_c4s_rules_decide_as_datatroves(texts, monkeypatch, punctuation):
    """With the bounds of the paper. Left out are texts with what datatrove does otherwise: other ends of lines than the
    line feed, lines that end in an apostrophe, or get another number of words by losing a citation."""
    module = pytest.importorskip("datatrove.pipeline.filters.c4_filters")
    from datatrove.data import Document

    split = splitter("nltk", None, None)
    monkeypatch.setattr(module, "split_into_sentences", lambda text, language: split(text))
    theirs = module.C4QualityFilter(
        min_num_sentences=3, min_words_per_line=5, filter_no_terminal_punct=punctuation, max_word_length=1000
    )
    names = ("word_length_modifier", "citation_removal_modifier", "punctuation_line_modifier", "line_length_modifier")
    names += ("substring_filter", "substring_line_modifier")
    steps = [one for one in read_recipe("c4") if one.func in names]
    steps = [one for one in steps if punctuation or one.func != "punctuation_line_modifier"]
    kitchen = Kitchen([*steps, step("line_sentence_filter", min_length=3)], Setting())
    compared, kept = 0, 0
    for raw in texts:
        text = "\n".join(line.strip() for line in raw.split("\n"))
        lines = text.split("\n")
        if text.splitlines() != [*lines[: -1 if not lines[-1] else None]] or any(x.endswith("'") for x in lines):
            continue
        if module.CITATION_REGEX.search(text):
            continue
        document, page = Document(text=text, id=""), {"text": text}
        found, drop = theirs.filter(document), kitchen(page)
        assert (found is True) is (drop is None), (found, drop)
        if drop is None:
            assert document.text == "\n".join(line for line in page["text"].split("\n") if line)
            kept += 1
        compared += 1
    assert compared > 500
    assert 50 < kept < compared - 50


BROUGHT = '''
import numpy as np
from vlmkit.core.curate.rules import Drop

def keep(page, word="river"):
    return word in page["text"]

def upper(page):
    return page["text"].upper()

def measured(page, bound=3):
    return [page] if len(page["text"]) < bound else Drop("too_long", len(page["text"]), bound)

def nothing(page):
    page["text"] += "!"

def fails(page):
    return page["metadata"]["score"] > 0.5

def two(page):
    return [page, page]

class Counter:
    """Keeps texts with at least so many words."""
    def __init__(self, least):
        self.least = least
    def __call__(self, page):
        return np.bool_(len(page["text"].split()) >= self.least)
'''


@pytest.fixture
def own(tmp_path) -> Path:
    (tmp_path / "own.py").write_text(BROUGHT)
    return tmp_path


def test_what_a_users_function_may_give(own):
    def after(func: str, text: str, **kwargs: object) -> object:
        page = {"text": text, "metadata": {}}
        return Kitchen([step(f"own.py:{func}", **kwargs)], Setting(assets=own))(page) or page["text"]

    assert after("keep", "a river") == "a river"
    assert after("keep", "a river", word="sea") == Drop("own.py:keep", 0, 1)
    assert after("upper", "é") == "É"
    assert after("measured", "ab") == "ab"
    assert after("measured", "abcd") == Drop("too_long", 4, 3)
    assert after("Counter", "a b", least=2) == "a b"
    assert after("Counter", "a", least=2) == Drop("own.py:Counter", 0, 1)


@pytest.mark.parametrize(
    ("func", "kwargs", "what"),
    [
        ("own.py:keep", {"words": "x"}, "unexpected keyword argument 'words'"), ("own.py:keeps", {}, "has no 'keeps'"),
        ("own.py:Counter", {}, "missing 1 required positional argument"), ("own.py:nothing", {}, "gives NoneType"),
        ("own.py:two", {}, "gives 2 pages of one"), ("other.py:keep", {}, "needs the file other.py"),
        ("no_such_module:keep", {}, "No module named 'no_such_module'"), ("own.py:np", {}, "cannot be called"),
        ("broken.py:keep", {}, "SyntaxError"), ("own_keep", {}, "there is no operation 'own_keep'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_users_function_is_told_with_its_step(own, func, kwargs, what):
    (own / "broken.py").write_text("def keep(:\n")
    with pytest.raises(InputError, match=what) as caught:
        Kitchen([step("counter_line_modifier"), step(func, **kwargs)], Setting(assets=own))
    assert caught.value.where.startswith(f"step 2 of the recipe, {func}")


def test_a_function_that_fails_on_a_page_is_named_with_it(own):
    kitchen = Kitchen([step("own.py:fails")], Setting(assets=own))  # the page that steps are tried on has no score
    assert kitchen({"text": "a", "metadata": {"score": 1}}) is None
    with pytest.raises(RunError, match="KeyError: 'score'") as caught:
        kitchen({"text": "a", "metadata": {}, "id": "p7"})
    assert caught.value.where == "own.py:fails, page p7"


def test_a_package_brings_an_operation_by_an_entry_point(own, monkeypatch):
    monkeypatch.syspath_prepend(own)
    folder = own / "brought-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[vlmkit.curate]\nriver_filter = own:keep\nstop_word_filter = own:two\n")
    assert [one.name for one in metadata.entry_points(group=custom.GROUP) if one.name == "river_filter"]
    keep = get("river_filter")(word="sea")
    assert (keep({"text": "the sea"}), keep({"text": "river"})) == ([{"text": "the sea"}], [])
    assert get("stop_word_filter")()({"text": "the of"}) != []  # DCLM's own names are never taken
    with pytest.raises(InputError, match="no operation 'river_filtre'") as caught:
        get("river_filtre")
    assert "river_filter" in caught.value.fix


def test_workers_run_what_users_bring_and_other_code_makes_another_corpus(own, monkeypatch):
    monkeypatch.setattr("vlmkit.core.io.sources.SMALLEST_PART", 200)
    monkeypatch.setattr("vlmkit.core.io.sources.LARGEST_PART", 200)
    source = own / "in.jsonl"
    source.write_text("".join(json.dumps({"text": f"{'river' if i % 3 else 'sea'} {i}"}) + "\n" for i in range(60)))
    (own / "r.yaml").write_text("- source: a\n  steps:\n  - func: own.py:keep\n    word: sea\n  - func: own.py:upper\n")
    monkeypatch.chdir(own)
    words = {"recipe": "r.yaml", "stages": ("extract", "heuristics")}
    one = curate(source, own / "one", **words)
    assert one.values["rules"] == {"own.py:keep": 40}
    assert {row["text"] for row in rows(own / "one/documents")} == {f"SEA {i}" for i in range(0, 60, 3)}
    curate(source, own / "two", workers=2, **words)
    digests = {json.loads((own / name / "manifest.json").read_text())["content_digest"] for name in ("one", "two")}
    assert len(digests) == 1
    assert curate(source, own / "one", **words).reused
    (own / "own.py").write_text(BROUGHT.replace("in page", "not in page"))
    with pytest.raises(InputError, match="another run"):
        curate(source, own / "one", **words)
    assert curate(source, own / "one", overwrite=True, **words).values["documents"] == 40


def test_a_fasttext_model_scores_and_filters_as_a_step(tmp_path):
    pytest.importorskip("fasttext")
    good, bad = ("because therefore reason", "click login cart")
    lines = [f"__label__{label} {words} w{i}" for i in range(40) for label, words in (("hq", good), ("cc", bad))]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    model = train(tmp_path / "lines.txt", Training(0.5, 4, 30, 1, 10, 1, 0))
    model.save_model(str(tmp_path / "quality.bin"))
    setting = Setting(assets=tmp_path)
    enrich = step("classify_fasttext_hq_prob_enricher", model_filename="quality.bin", key="q")
    kitchen = Kitchen([enrich, step("quality_filter", key="q", threshold=0.5)], setting)
    page = {"text": good}
    assert kitchen(page) is None
    ((value, label),) = model.f.predict(good + "\n", 1, 0.0, "strict")
    assert page["q"] == pytest.approx(value if label == "__label__hq" else 1 - value, abs=1e-6)
    drop = kitchen({"text": bad})
    assert (drop.rule, drop.threshold) == ("quality_filter", 0.5)
    once = Kitchen([step("fasttext_filter", model_filename="quality.bin", threshold=0.5)], setting)
    assert once({"text": good}) is None
    assert once({"text": bad}) == Drop("fasttext_filter", drop.value, 0.5)
    other = Kitchen([step("fasttext_filter", model_filename="quality.bin", threshold=0.5, label="cc")], setting)
    assert other({"text": bad}) is None
    with pytest.raises(InputError, match=r"needs the file absent\.bin"):
        Kitchen([step("fasttext_filter", model_filename="absent.bin", threshold=0.5)], setting)
    with pytest.raises(InputError, match="is taken"):
        Kitchen([enrich, enrich], setting)
