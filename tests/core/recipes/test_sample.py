"""`vlmkit sample`: artifacts, the same bytes every time."""

import json

import pytest

from vlmkit.core.configs.sample import SampleConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.images import read_images
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


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ({"name": "digits", "pages": 100}, "--pages"),
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
