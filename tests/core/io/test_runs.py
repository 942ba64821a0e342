"""Tables of runs from many kinds of file."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlmkit.core.errors import InputError
from vlmkit.core.io.runs import read_runs

RUNS = [
    {"name": "a", "N": 10**7, "D": 2 * 10**8, "loss": 3.5, "tags": [1, 2]},
    {"name": "b", "N": 7 * 10**9, "D": 10**12, "loss": None, "tags": []},
]


def write(path):
    flat = [{key: value for key, value in row.items() if key != "tags"} for row in RUNS]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(RUNS), path)
    elif path.suffix == ".csv":
        path.write_text("name,N,D,loss\na,10000000,200000000,3.5\nb,7000000000,1000000000000,\n")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in flat))
    else:
        path.write_text(json.dumps(flat))
    return path


@pytest.mark.parametrize("name", ["runs.parquet", "runs.csv", "runs.json", "runs.jsonl"])
def test_every_format_gives_the_same_columns(name, tmp_path):
    found = read_runs([write(tmp_path / name)])
    assert list(found["name"]) == ["a", "b"]
    assert found["N"].dtype == found["D"].dtype == np.float64
    assert found["N"].tolist() == [1e7, 7e9]
    assert np.isnan(found["loss"][1])
    assert (6 * found["N"] * found["D"])[1] == 6 * 7e9 * 1e12  # beyond int64


@pytest.mark.parametrize("value", [{"runs": [{"N": 1, "D": 2}, {"N": 3, "D": 4}]}, {"N": [1, 3], "D": [2, 4]}])
def test_json_may_hold_rows_or_columns(value, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(value))
    assert read_runs([tmp_path / "a.json"])["D"].tolist() == [2.0, 4.0]


def test_run_folders_are_joined_with_scores_by_name(tmp_path):
    for name, loss in (("x", 4.0), ("y", 3.0)):
        (tmp_path / name).mkdir()
        row = {"name": name, "dataset": "web", "N": 1e6, "D": 2e7, "M": 20.0, "C": 1.2e14, "loss_heldout": loss}
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / name / "run.parquet")
        pq.write_table(pa.Table.from_pylist([{"step": 1}]), tmp_path / name / "metrics.parquet")
    (tmp_path / "scores").mkdir()
    scores = [
        {"model": model, "task": task, "shots": 0, "metric": "accuracy", "value": value}
        for model, task, value in (
            ("x", "p", 0.25),
            ("x", "q", 0.5),
            ("y", "p", 0.75),
            ("y", "q", 1.0),
            ("y", "r", 0.1),
        )
    ]
    pq.write_table(pa.Table.from_pylist(scores), tmp_path / "scores" / "part-00000.parquet")
    found = read_runs([tmp_path / "x", tmp_path / "y", tmp_path / "scores"])
    assert found["err_p"].tolist() == [0.75, 0.25]
    assert found["err_avg"].tolist() == [0.625, 0.125]  # over the tasks that both have
    assert np.isnan(found["err_r"][0])
    assert list(read_runs([tmp_path])["name"]) == ["x", "y"], "a folder of runs is all of them"
    with pytest.raises(InputError, match="only scores"):
        read_runs([tmp_path / "scores"])


def test_columns_of_several_tables_are_united(tmp_path):
    (tmp_path / "a.csv").write_text("N,D,loss\n1,2,3\n")
    (tmp_path / "b.jsonl").write_text('{"N": 4, "D": 5, "note": "late"}\n')
    found = read_runs([tmp_path / "a.csv", tmp_path / "b.jsonl"])
    assert found["N"].tolist() == [1.0, 4.0]
    assert list(found["note"]) == [None, "late"]


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.txt", "N,D", "'.txt' is no table"),
        ("a.csv", "N,D\n1,2,3\n", "not a csv table"),
        ("a.json", "{", "not JSON"),
        ("a.jsonl", '{"N": 1}\nnonsense\n', "not a line of JSON"),
        ("a.parquet", "nonsense", ""),
        ("b.csv", "N,D\n", "there are no rows here"),
    ],
)
def test_a_broken_table_is_named(name, text, what, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_runs([tmp_path / name])
    assert what in caught.value.what
    assert name in caught.value.where


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(InputError, match="no runs and no scores"):
        read_runs([tmp_path])


def test_scores_that_contradict_one_another_are_refused(tmp_path):
    (tmp_path / "runs.jsonl").write_text('{"name": "x", "N": 1, "D": 2}\n')
    rows = [{"model": "x", "task": "p", "shots": shots, "value": value} for shots, value in ((0, 0.1), (5, 0.2))]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match="2 different scores"):
        read_runs([tmp_path / "runs.jsonl", tmp_path / "scores.jsonl"])


def test_scores_of_no_run_are_refused(tmp_path):
    (tmp_path / "runs.jsonl").write_text('{"name": "x", "N": 1, "D": 2}\n')
    (tmp_path / "scores.jsonl").write_text('{"model": "z", "task": "p", "value": 0.5}\n')
    with pytest.raises(InputError, match="no run bears the name"):
        read_runs([tmp_path / "runs.jsonl", tmp_path / "scores.jsonl"])
