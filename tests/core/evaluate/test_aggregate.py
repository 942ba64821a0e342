"""CORE and EXTENDED against 100 published evaluations, and the laws of the intervals."""

import json

import pytest

from vlmkit.core.errors import InputError
from vlmkit.core.evaluate.aggregate import Accuracy, accuracy, aggregates, centered, missing, model_report, wilson
from vlmkit.core.evaluate.dclm import CORE, TASKS
from vlmkit.core.evaluate.published import read_scores


def test_published_aggregates_are_reproduced(shared):
    path = shared("dclm-evals") / "dclm_evals.jsonl"
    published = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    reports = [model_report(name, scores) for name, scores in read_scores(path)]
    assert [report["name"] for report in reports] == [row["file"] for row in published]
    numbers = refused = 0
    for report, row in zip(reports, published, strict=True):
        for key in ("Core_v1", "Core_v2", "Extended_v1", "Extended_v2"):
            found, wanted = report[key.lower()], row[key]
            if isinstance(wanted, str):
                names = report["missing"][key.partition("_")[0].lower()]
                assert (found, f"N/A due to missing tasks: {names}") == (None, wanted)
                refused += 1
            else:
                assert found == pytest.approx(wanted, abs=1e-9)
                numbers += 1
    assert (numbers, refused) == (2 * 100 + 2 * 96, 8)


def test_missing_task_refuses_only_what_needs_it():
    scores = dict.fromkeys(CORE, 0.5)
    found = aggregates(scores)
    assert found["core_v2"] == pytest.approx(sum(centered(0.5, TASKS[name].baseline) for name in CORE) / 22)
    assert found["extended_v2"] is None
    assert missing(scores) == {"core": [], "extended": [name for name in TASKS if name not in CORE]}
    assert aggregates(scores | {"copa": None})["core_v1"] is None
    assert missing(scores | {"copa": None})["core"] == ["copa"]


def test_centering_is_not_clipped():
    assert centered(0.25, 25) == 0.0
    assert centered(1.0, 62) == 1.0
    assert centered(0.0, 50) == -1.0


def test_wilson_is_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    for right, rows in ((0, 10), (3, 10), (10, 10), (620, 1000)):
        assert wilson(right, rows) == pytest.approx(proportion_confint(right, rows, method="wilson"), abs=1e-12)


def test_interval_of_a_mean_of_categories():
    one = accuracy([(7, 20)])
    assert (one.low, one.high) == pytest.approx(wilson(7, 20))
    four = accuracy([(7, 20)] * 4)
    assert (four.value, four.n) == (pytest.approx(0.35), 80)
    assert four.value - four.low == pytest.approx((0.35 - one.low) / 2)  # a mean of four is twice as sharp
    uneven = accuracy([(0, 10), (1, 9), (0, 6), (0, 4), (0, 12)])
    assert uneven.value == pytest.approx(2 / 90)  # unweighted, not 1 of 41
    assert 0 <= uneven.low < uneven.value < uneven.high < 0.5


def test_unknown_tasks_are_shown_without_baseline_and_take_no_part():
    report = model_report("m", {"gsm8k": (None, None, Accuracy(0.5))})
    assert report["tasks"]["gsm8k"]["accuracy"] == 0.5
    assert report["tasks"]["gsm8k"]["centered"] is None
    assert len(report["missing"]["extended"]) == 53


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"icl": {"copa": 70}}', r"70 is no number in \[0, 1\]"),
        ('{"icl": {"copa": "N/A"}}', "'N/A' is no number"),
        ('{"model": "m"}', "no per-task scores"),
        ("[1]", "not a JSON object"),
        ("{", "not JSON"),
    ],
)
def test_bad_scores_are_named(tmp_path, text, what):
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(InputError, match=what) as caught:
        list(read_scores(path))
    assert str(path) in caught.value.where


def test_forms_of_score_files(tmp_path):
    path = tmp_path / "m.json"
    path.write_text('{"eval_metrics": {"icl": {"copa": 0.7, "boolq": NaN, "piqa": null}}}')
    ((name, scores),) = read_scores(path)
    assert name == "m"
    assert {task: found.value for task, (_, _, found) in scores.items()} == {"copa": 0.7, "boolq": None, "piqa": None}
    path.write_text('[{"copa": 1}, {"name": "b", "icl": {"copa": 0}}]')
    assert [name for name, _ in read_scores(path)] == ["m", "b"]
