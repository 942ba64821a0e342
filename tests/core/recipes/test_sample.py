"""`vlmkit sample`: artifacts, the same bytes every time."""

import json
import shlex

import numpy as np
import pytest
import torch

from vlmkit.core.configs.fit_scaling import FitScalingConfig
from vlmkit.core.configs.sample import SampleConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.images import read_images
from vlmkit.core.recipes import fit_scaling
from vlmkit.core.recipes.sample import run


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_web_is_the_same_twice_and_reused_when_there(tmp_path):
    first = run(SampleConfig(name="web", pages=60, out=tmp_path / "a"))
    assert first.values["responses"] > 50
    run(SampleConfig(name="web", pages=60, out=tmp_path / "b"))
    assert manifest(tmp_path / "a")["kind"] == "pages"
    assert manifest(tmp_path / "a")["content_digest"] == manifest(tmp_path / "b")["content_digest"]
    assert run(SampleConfig(name="web", pages=60, out=tmp_path / "a")).reused


def test_tasks_are_files_of_json_lines(tmp_path):
    result = run(SampleConfig(name="web-tasks", pages=200, rows=10, out=tmp_path / "tasks"))
    files = sorted((tmp_path / "tasks").glob("*.jsonl"))
    assert {file.stem for file in files} == set(result.values["tasks"])
    for file in files:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert len(rows) == result.values["tasks"][file.stem]
        assert 1 <= len(rows) <= 10


def test_digits_decode_to_what_scikit_learn_holds(tmp_path):
    sklearn = pytest.importorskip("sklearn.datasets")
    run(SampleConfig(name="digits", out=tmp_path / "digits"))
    truth = sklearn.load_digits()
    found = list(read_images(tmp_path / "digits"))
    assert len(found) == 1797
    assert [image.label for image in found] == truth.target.tolist()
    assert all(image.pixels.dtype == "uint8" and image.pixels.shape == (8, 8) for image in found)
    assert abs(found[100].pixels * (16 / 255) - truth.images[100]).max() <= 0.5 * 16 / 255
    assert manifest(tmp_path / "digits")["kind"] == "images"


@pytest.mark.parametrize("kind", ["vit", "cnn"])
def test_a_classifier_is_a_transformers_folder_with_images_to_test_it(tmp_path, monkeypatch, kind):
    from transformers import AutoModelForImageClassification

    from vlmkit.core.configs.inspect import InspectConfig
    from vlmkit.core.configs.verify import VerifyConfig
    from vlmkit.core.io.pictures import read_pictures
    from vlmkit.core.models.classifier import load_classifier
    from vlmkit.core.recipes import inspect, verify
    from vlmkit.core.samples import classifiers

    monkeypatch.setattr(classifiers, "EPOCHS", {(kind, False): 8 if kind == "cnn" else 2})
    for name in ("a", "b"):
        result = run(SampleConfig(name=f"digits-{kind}", out=tmp_path / name))
    assert manifest(tmp_path / "a")["content_digest"] == manifest(tmp_path / "b")["content_digest"]
    assert manifest(tmp_path / "a")["kind"] == "model"
    model = load_classifier(tmp_path / "a")
    pictures = read_pictures(tmp_path / "a", labels=model.labels)
    assert (len(pictures.ids), model.channels, model.labels) == (397, 1, [str(n) for n in range(10)])
    logits = model(torch.from_numpy(np.stack(pictures.pixels)))
    right = float((logits.argmax(1).numpy() == pictures.labels).mean())
    assert right == pytest.approx(result.values["clean_accuracy"])
    assert right > (0.9 if kind == "cnn" else 0.2)
    opened = AutoModelForImageClassification.from_pretrained(tmp_path / "a")
    assert opened.num_parameters() == result.values["params"]
    assert verify.run(VerifyConfig(folder=tmp_path / "a")).ok
    assert inspect.run(InspectConfig(path=tmp_path / "a")).values["parameters"] == result.values["params"]


def test_only_a_classifier_is_hardened(tmp_path):
    with pytest.raises(InputError, match="'digits' is no classifier"):
        SampleConfig(name="digits", hardened=True, out=tmp_path / "x")


def test_simulated_runs_are_the_same_for_the_same_seed_and_others_for_another(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(SampleConfig(name="scaling", seed=seed, out=tmp_path / name))
    digests = [manifest(tmp_path / name)["content_digest"] for name in ("a", "b", "c")]
    assert digests[0] == digests[1] != digests[2]
    assert manifest(tmp_path / "a")["kind"] == "runs"
    lines = (tmp_path / "a" / "tasks.csv").read_text().splitlines()
    assert lines[0] == "task,random_accuracy,n"
    assert lines[1] == "last_word,0.0,5000"


def test_the_command_that_follows_the_sample_recovers_the_truth(tmp_path, vlmkit):
    follow_up = run(SampleConfig(name="scaling", out=tmp_path / "runs")).next
    truth = json.loads((tmp_path / "runs" / "truth.json").read_text())
    done = vlmkit(*shlex.split(follow_up)[1:], "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    found = done.json
    for name, value in truth["runs.parquet"]["params"]["web"].items():
        low, high = found["intervals"][name]
        assert low <= value <= high, name
    largest = {one["name"]: one for one in truth["runs.parquet"]["largest"]}
    assert [target["name"] for target in found["targets"]][-1] == "web-7b-m20-s0"
    for target in found["targets"]:
        assert target["low"] <= largest[target["name"]]["loss"] <= target["high"]
        assert target["downstream_low"] <= largest[target["name"]]["err_avg"] <= target["downstream_high"]
    for name in truth["runs.parquet"]["outliers"]:
        assert (name in " ".join(found["warnings"])) == name.startswith("web")


def test_the_table_with_foreign_names_gives_its_law_back(tmp_path):
    run(SampleConfig(name="scaling", out=tmp_path / "runs"))
    names = {"N": "params", "D": "tokens", "C": "flops", "loss": "final_loss"}
    table = tmp_path / "runs" / "chinchilla.csv"
    found = fit_scaling.run(FitScalingConfig(tables=(table,), law="chinchilla", map=names, out=tmp_path / "law")).values
    truth = json.loads((tmp_path / "runs" / "truth.json").read_text())["chinchilla.csv"]
    for name, value in truth["params"].items():
        low, high = found["intervals"][name]
        assert low <= value <= high, name
    for name in truth["outliers"]:
        assert name in " ".join(found["warnings"])


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ({"name": "digits", "pages": 100}, "--pages"),
        ({"name": "scaling", "rows": 5}, "--rows"),
        ({"name": "web", "rows": 5}, "--rows"),
        ({"name": "web", "pages": 3}, "--pages"),
    ],
)
def test_an_option_that_would_be_ignored_or_senseless_is_refused(words, where, tmp_path):
    with pytest.raises(InputError) as caught:
        SampleConfig(out=tmp_path / "x", **words)
    assert caught.value.where == where


def test_a_dry_run_creates_nothing(tmp_path):
    run(SampleConfig(name="web", out=tmp_path / "x", dry_run=True))
    assert not (tmp_path / "x").exists()
