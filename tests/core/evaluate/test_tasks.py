"""The table of tasks against its sources, and files of tasks with every fault named by file and line."""

import csv
import json

import pytest

from vlmkit.core.errors import InputError
from vlmkit.core.evaluate.catalog import choose_tasks
from vlmkit.core.evaluate.dclm import CORE, EXTENDED, TASKS
from vlmkit.core.evaluate.tasks import Form, Task, own_task, read_pools

CHOICE = Task(name="t", form=Form.CHOICE, file="t.jsonl")
GOOD = {"query": "q", "choices": ["a", "b"], "gold": 1}


def write(path, *rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_table_equals_dclms_settings(shared):
    listed = json.loads((shared("eval") / "tasks.json").read_text())["tasks"]
    assert [row["task"] for row in listed] == list(TASKS) == list(EXTENDED)
    for row in listed:
        task = TASKS[row["task"]]
        how = task.format
        assert (task.file, task.form, task.shots, task.has_categories) == (
            row["file"], row["form"], row["shots"], row["has_categories"],
        )  # fmt: skip
        for name in ("prelimiter", "continuation_delimiter", "example_delimiter", "cot_delimiter"):
            assert getattr(how, name) == row[name]
        assert list(how.early_stopping) == row["early_stopping"]


@pytest.mark.parametrize(("name", "field"), [("", "baseline"), ("_v1", "baseline_v1")])
def test_baselines_equal_dclms_tables(shared, name, field):
    with (shared("dclm-evals") / f"eval_meta_data{name}.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 53
    for row in rows:
        task = TASKS[row["Eval Task"]]
        assert getattr(task, field) == float(row["Random baseline"])
        assert (task.shots, task.category) == (int(row["#shots"]), row["Task Category"])


def test_core_is_the_22_low_variance_tasks_in_table_order(shared):
    groups = json.loads((shared("dclm-evals") / "additional_aggregation.json").read_text())
    assert set(CORE) == set(groups["low_variance_datasets"])
    assert len(CORE) == 22
    assert sorted(CORE, key=list(TASKS).index) == list(CORE)


def test_every_shared_file_is_read(shared):
    folder = shared("eval")
    found, absent = choose_tasks(("core",), folder)
    assert len(found) == 18
    assert absent == ["hellaswag_zeroshot", "hellaswag", "squad", "coqa"]
    for task, path in found:
        assert read_pools(task, path)


def test_rows_are_stripped_but_not_their_lists(tmp_path):
    row = {"query": "  q \n", "choices": [" a ", "b"], "gold": 0}
    (pool,) = read_pools(CHOICE, write(tmp_path / "t.jsonl", row))
    assert pool.rows == [{"query": "q", "choices": [" a ", "b"], "gold": 0}]
    assert pool.raw == [row]


def test_categories_are_pools_in_sorted_order(tmp_path):
    task = Task(name="t", form=Form.LANGUAGE, file="t.jsonl", has_categories=True)
    rows = [{"context": str(i), "continuation": "x", "category": category} for i, category in enumerate("bab")]
    pools = read_pools(task, write(tmp_path / "t.jsonl", *rows))
    assert [(pool.category, pool.lines) for pool in pools] == [("a", [1]), ("b", [0, 2])]


BAD = {
    "broken line": (GOOD, '{"query": "q", "choices"\n', "2", "not a line of JSON"),
    "no object": (GOOD, "[1, 2]\n", "2", "not a JSON object"),
    "missing column": (GOOD, {"query": "q", "gold": 0}, "2", "'choices' is missing"),
    "gold out of range": (GOOD, {**GOOD, "gold": 2}, "2", "gold is 2, out of range"),
    "gold below zero": (GOOD, {**GOOD, "gold": -1}, "2", "gold is -1, out of range"),
    "gold as text": (GOOD, {**GOOD, "gold": "1"}, "2", "'gold' is not a whole number"),
    "gold as truth": (GOOD, {**GOOD, "gold": True}, "2", "'gold' is not a whole number"),
    "no choices": (GOOD, {**GOOD, "choices": []}, "2", "gold is 1, out of range"),
    "choices of numbers": (GOOD, {**GOOD, "choices": [1, 2]}, "2", "'choices' is not a list of texts"),
    "query a number": ({**GOOD, "query": 3}, GOOD, "1", "'query' is not a text"),
    "half a surrogate pair": (GOOD, '{"query": "\\ud800", "choices": ["a"], "gold": 0}\n', "2", "not a line of JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_row_is_named_by_file_and_line(tmp_path, name):
    first, second, line, what = BAD[name]
    path = write(tmp_path / "t.jsonl", first, second)
    with pytest.raises(InputError, match=what) as caught:
        read_pools(CHOICE, path)
    assert caught.value.where == f"{path}:{line}"
    assert caught.value.fix


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n\n{"query": "\xff"}\n')
    with pytest.raises(InputError, match="not a line of JSON") as caught:
        read_pools(CHOICE, path)
    assert caught.value.where == f"{path}:3"


def test_empty_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="empty"):
        read_pools(CHOICE, write(tmp_path / "t.jsonl", "\n"))


@pytest.mark.parametrize(
    ("rows", "form", "baseline"),
    [
        ([GOOD, {**GOOD, "choices": ["a", "b", "c", "d"]}], Form.CHOICE, 37.5),
        ([{"context_options": ["a", "b", "c", "d"], "continuation": "x", "gold": 0}], Form.SCHEMA, 25.0),
        ([{"context": "a", "continuation": "b"}], Form.LANGUAGE, 0.0),
        ([{"context": "a", "answer": "b", "aliases": []}], Form.ANSWER, 0.0),
    ],
)
def test_own_file_tells_its_form(tmp_path, rows, form, baseline):
    task = own_task(write(tmp_path / "mine.jsonl", *rows))
    assert (task.name, task.form, task.shots, task.listed) == ("mine", form, 0, False)
    assert task.baseline == task.baseline_v1 == pytest.approx(baseline)


def test_own_file_of_no_form_is_refused(tmp_path):
    with pytest.raises(InputError, match="no task has the columns question") as caught:
        own_task(write(tmp_path / "mine.jsonl", {"question": "a"}))
    assert caught.value.where.endswith("mine.jsonl:1")


def test_default_is_every_file_of_the_folder(tmp_path):
    write(tmp_path / "winograd_wsc.jsonl", {"context_options": ["a", "b"], "continuation": "x", "gold": 0})
    write(tmp_path / "mmlu.jsonl", {**GOOD, "category": "c"})
    write(tmp_path / "mine.jsonl", GOOD)
    found, absent = choose_tasks((), tmp_path)
    assert [task.name for task, _ in found] == ["mmlu_zeroshot", "mmlu_fewshot", "winograd", "mine"]
    assert absent == []


def test_words_for_tasks_are_refused_with_the_nearest(tmp_path):
    write(tmp_path / "gsm8k.jsonl", {"context": "a", "answer": "b"})
    for word, fix in (("gsm8k", "gsm8k_cot"), ("gsm8k_cat", "gsm8k_cot"), ("boolq", "add it")):
        with pytest.raises(InputError) as caught:
            choose_tasks((word,), tmp_path)
        assert fix in caught.value.fix
    with pytest.raises(InputError, match="none of the tasks"):
        choose_tasks(("core",), tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        choose_tasks((), tmp_path / "gsm8k.jsonl")
