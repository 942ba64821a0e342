"""`vlmkit curate explain`: kept, dropped by a rule, or a repetition of another page."""

import json
from pathlib import Path

import pytest

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.configs.curate_explain import ExplainConfig
from vlmkit.core.errors import InputError
from vlmkit.core.recipes.curate import run as curate
from vlmkit.core.recipes.curate_explain import run as explain

STORY = " ".join(f"the w{number} of" for number in range(60))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    near = STORY.replace("w30 ", "other ")
    texts = {"first": STORY, "short": "the and short", "same": STORY + " ", "near": near}
    lines = [json.dumps({"id": name, "text": text, "url": f"http://a.org/{name}"}) for name, text in texts.items()]
    (folder / "in.jsonl").write_text("\n".join(lines) + "\n")
    stages = ("extract", "heuristics", "dedup")
    recipe = folder / "r.yaml"
    recipe.write_text("- steps:\n  - {func: page_length_filter, length_type: word, min_length: 50}\n")
    curate(
        CurateConfig(inputs=(folder / "in.jsonl",), stages=stages, recipe=str(recipe), out=folder / "out", workers=1)
    )
    return folder / "out"


def test_a_page_that_is_kept(corpus):
    found = explain(ExplainConfig(words=(str(corpus), "first"))).values
    assert found["kept"] is True
    assert found["url"] == "http://a.org/first"
    assert (found["rule"], found["match"], found["span"]) == (None, None, None)
    assert found["text"].endswith("…")


def test_a_page_that_a_rule_drops(corpus):
    found = explain(ExplainConfig(words=("short", str(corpus)))).values  # in any order
    assert found["kept"] is False
    assert (found["step"], found["rule"], found["value"], found["threshold"]) == (
        "heuristics",
        "page_length_filter",
        3,
        50,
    )


def test_a_page_that_repeats_another_one(corpus, monkeypatch):
    monkeypatch.chdir(corpus)
    found = explain(ExplainConfig(words=("near",))).values
    assert (found["rule"], found["match"]["id"]) == ("minhash_duplicate", "first")
    span = found["span"]
    assert (span["words"], span["at"], span["at_in_match"]) == (91, 0, 0)  # up to the word that differs
    assert STORY.startswith(span["text"])
    assert explain(ExplainConfig(words=("same",))).values["rule"] == "exact_duplicate"


def test_what_is_not_there(corpus, tmp_path):
    with pytest.raises(InputError, match="no page has the id 'frist'") as caught:
        explain(ExplainConfig(words=(str(corpus), "frist")))
    assert caught.value.fix == "did you mean 'first'?"
    with pytest.raises(InputError, match="no corpus is here"):
        explain(ExplainConfig(words=(str(tmp_path), "first")))
    with pytest.raises(InputError, match="3 words"):
        ExplainConfig(words=("a", "b", "c"))
