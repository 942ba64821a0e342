"""The quality classifier: trained, judged, scored as fastText itself scores, and bounds that keep what they say."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.configs.curate_quality import TrainQualityConfig
from vlmkit.core.curate.language import Identifier
from vlmkit.core.curate.quality import Classifier, good_enough, line_of
from vlmkit.core.errors import InputError
from vlmkit.core.recipes.curate import run as curate
from vlmkit.core.recipes.curate_quality import run as train

pytest.importorskip("fasttext")
SMALL = {"dimension": 8, "buckets": 1000, "epochs": 20, "rate": 0.5}
GOOD, BAD = ["because", "therefore", "explain", "reason", "answer"], ["click", "subscribe", "cookie", "login", "cart"]


def texts(words, count, seed):
    generator = np.random.default_rng(seed)
    filler = [f"w{number}" for number in range(50)]
    return [
        "\n".join(" ".join(generator.choice([*words, *filler[:10]], 8)) for _ in range(3)) + f" {count}x{number}"
        for number in range(count)
    ]


def lines(path: Path, values) -> Path:
    path.write_text("".join(json.dumps({"text": value}) + "\n" for value in values))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A classifier of two vocabularies, and what its training reported."""
    folder = tmp_path_factory.mktemp("quality")
    positive, negative = (
        lines(folder / "good.jsonl", texts(GOOD, 120, 0)),
        lines(folder / "bad.jsonl", texts(BAD, 150, 1)),
    )
    found = train(TrainQualityConfig(positive=(positive,), negative=(negative,), out=folder / "model", **SMALL))
    return folder, found.values


def test_a_classifier_is_trained_and_judged_on_what_it_has_not_seen(trained):
    _, values = trained
    assert (values["positive"], values["negative"]) == (120, 150)
    assert 3 <= values["held_out"] <= 30
    assert values["accuracy"] > 0.9
    assert values["area"] > 0.95


def test_training_again_gives_the_same_file(trained, tmp_path):
    folder, _ = trained
    words = {"positive": (folder / "good.jsonl",), "negative": (folder / "bad.jsonl",), **SMALL}
    train(TrainQualityConfig(out=tmp_path / "again", **words))
    assert (tmp_path / "again/model.bin").read_bytes() == (folder / "model/model.bin").read_bytes()
    plan = train(TrainQualityConfig(dry_run=True, **words)).values["plan"]
    assert plan["positive"] == 120
    assert plan["model_bytes_at_least"] == 4 * 8 * 1000


def test_scores_are_those_of_fasttext(trained):
    import fasttext

    folder, _ = trained
    model, classifier = fasttext.load_model(str(folder / "model/model.bin")), Classifier(folder / "model")
    for text in [*texts(GOOD, 10, 5), *texts(BAD, 10, 6), " \n ", "unknown", "because\u2028click\x85cart\ncart"]:
        ((value, label),) = model.f.predict(" ".join(text.strip().splitlines()) + "\n", 1, 0.0, "strict") or (
            (0.0, "none"),
        )
        expected = value if label == "__label__hq" else 1 - value if label == "__label__cc" else 0.0
        assert classifier.score(text) == pytest.approx(expected, abs=1e-6)
    assert line_of("a\n\nb \n") == "a  b"


def test_the_wrapper_that_fails_under_numpy_2_is_never_asked(trained, tmp_path, monkeypatch):
    """fasttext 0.9.3 makes an array of the probabilities in a way that NumPy 2 refuses; its binding does not."""
    import fasttext

    def fails(*words, **more):
        raise ValueError("Unable to avoid copy while creating an array as requested.")

    folder, _ = trained
    monkeypatch.setattr(fasttext.FastText._FastText, "predict", fails)
    words = {"positive": (folder / "good.jsonl",), "negative": (folder / "bad.jsonl",), **SMALL}
    assert train(TrainQualityConfig(out=tmp_path / "again", **words)).values["accuracy"] > 0.9
    classifier, identifier = Classifier(tmp_path / "again"), Identifier(tmp_path / "again/model.bin")
    good, bad = texts(GOOD, 1, 5)[0], texts(BAD, 1, 6)[0]
    assert classifier.score(good) > 0.5 > classifier.score(bad)
    assert identifier.languages(good)[0] == ("hq", pytest.approx(classifier.score(good), abs=1e-6))
    assert sum(value for _, value in identifier.languages(bad, count=-1)) == pytest.approx(1, abs=1e-3)
    assert classifier.score(f"{good} \ud800") == classifier.score(f"{good} \ufffd")


def test_the_share_that_is_kept_is_exact_and_ties_go_to_the_earlier():
    scores = np.array([0.5, 0.9, 0.5, 0.1, 0.5])
    for keep, kept in ((0.2, [1]), (0.4, [0, 1]), (0.41, [0, 1, 2]), (0.6, [0, 1, 2]), (1.0, [0, 1, 2, 3, 4])):
        chosen, bound = good_enough(scores, threshold=None, keep=keep)
        assert np.flatnonzero(chosen).tolist() == kept
        assert bound == scores[kept].min()
    assert good_enough(scores, threshold=0.5, keep=None)[0].tolist() == [True, True, True, False, True]
    assert good_enough(np.zeros(0), threshold=None, keep=0.5)[0].size == 0
    for size in range(1, 200):
        assert good_enough(np.zeros(size), threshold=None, keep=0.1)[0].sum() == -(-size // 10)


@pytest.mark.parametrize(("bound", "kept"), [({"quality_keep": 0.25}, 10), ({"quality_threshold": 0.5}, 20)])
def test_the_stage_keeps_the_better_documents_and_logs_the_others(trained, tmp_path, bound, kept):
    folder, _ = trained
    good, bad = texts(GOOD, 20, 8), texts(BAD, 20, 9)
    pages = lines(tmp_path / "pages.jsonl", [*good, *bad, good[0]])
    words = {
        "inputs": (pages,),
        "quality_model": folder / "model",
        "stages": ("extract", "dedup", "quality"),
        "workers": 1,
    }
    found = curate(CurateConfig(out=tmp_path / "out", **words, **bound)).values
    documents = pq.read_table(tmp_path / "out/documents").to_pylist()
    dropped = [row for row in pq.read_table(tmp_path / "out/dropped").to_pylist() if row["step"] == "quality"]
    assert len(documents) == kept
    assert {row["text"] for row in documents} <= set(good)
    assert len(dropped) == 40 - kept
    assert all(row["rule"] == "quality_filter" and row["matched_id"] is None for row in dropped)
    least = min(row["quality_score"] for row in documents)
    assert max(row["value"] for row in dropped) <= least
    assert {row["threshold"] for row in dropped} == {bound.get("quality_threshold", least)}
    stages = {stage["name"]: (stage["kept"], stage["dropped"]) for stage in found["stages"]}
    assert stages["quality"] == (kept, 40 - kept)
    assert stages["dedup"] == (40, 1)
    assert found["documents"] == kept


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"quality_keep": 0.1}, "needs a classifier"), ({"stages": ("extract", "quality")}, "needs a classifier"),
        ({"quality_model": Path(__file__)}, "0 bounds"),
        ({"quality_model": Path(__file__), "quality_keep": 0.1, "quality_threshold": 0.1}, "2 bounds"),
        ({"quality_model": Path(__file__), "quality_keep": 1.5}, "no share"),
        ({"quality_model": Path(__file__), "quality_keep": 0.5}, "no fastText model"),
    ],
)  # fmt: skip
def test_a_stage_without_what_it_needs_is_refused(tmp_path, words, what):
    pages = lines(tmp_path / "pages.jsonl", ["a", "b"])
    with pytest.raises(InputError, match=what):
        curate(CurateConfig(inputs=(pages,), out=tmp_path / "out", **words))
    assert not (tmp_path / "out").exists()


def test_training_refuses_what_it_cannot_learn_from(trained, tmp_path):
    folder, _ = trained
    few = lines(tmp_path / "few.jsonl", ["a", "b"])
    with pytest.raises(InputError, match="2 texts are too few"):
        train(TrainQualityConfig(positive=(folder / "good.jsonl",), negative=(few,), out=tmp_path / "x", **SMALL))
    assert not (tmp_path / "x").exists()
    with pytest.raises(InputError, match="--negative"):
        TrainQualityConfig(positive=(few,), out=tmp_path / "x")
    with pytest.raises(InputError, match="knows no label 'good'"):
        Classifier(folder / "model", label="good")
