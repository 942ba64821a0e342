"""`vlmkit eval` from folders to scores: keys, tables, refusals, reuse, resume after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from vlmkit.core.configs.eval import AggregateConfig, EvalConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.manifest import read_manifest
from vlmkit.core.io.tables import iter_rows, read_tables, write_table
from vlmkit.core.recipes import eval as recipe
from vlmkit.core.recipes import eval_aggregate

KEYS = ["name", "tasks", "core_v1", "core_v2", "extended_v1", "extended_v2", "missing"]
TASK_KEYS = {"accuracy", "n", "shots", "baseline", "baseline_v1", "centered", "centered_v1", "low", "high", "truncated"}
TEXT = "a cat sat on a mat and a dog ran at a cat. the answer of a question is a word."
WORDS = TEXT.split()


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A random tiny Llama with a tokenizer, as a folder."""
    from vlmkit.core.models.load import save_model
    from vlmkit.core.models.presets import build_causal_lm
    from vlmkit.core.models.tokenizers import train_tokenizer

    folder = tmp_path_factory.mktemp("models") / "lm"
    tokenizer = train_tokenizer([TEXT * 20], vocab_size=300)
    made = build_causal_lm("llama", "tiny", vocab_size=len(tokenizer), seed=1, seq_len=128)
    save_model(made, folder, tokenizer=tokenizer)
    return folder


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="session")
def tasks(tmp_path_factory):
    """Task files in the four forms: three of DCLM's names, two of our own."""
    folder = tmp_path_factory.mktemp("tasks")
    some = [" ".join(WORDS[i % 15 :][:4]) for i in range(30)]
    write(folder / "copa.jsonl", [{"query": t, "choices": ["a cat", "the dog sat"], "gold": 1} for t in some])
    options = [f"{some[0]} cat", f"{some[1]} dog"]
    write(folder / "winograd_wsc.jsonl", [{"context_options": options, "continuation": t, "gold": 0} for t in some])
    with_category = [{"context": t, "continuation": "a", "category": "xy"[i % 2]} for i, t in enumerate(some)]
    write(folder / "jeopardy_all.jsonl", with_category)
    write(folder / "mine.jsonl", [{"query": t, "choices": ["a", "cat", "mat", "dog"], "gold": 2} for t in some])
    write(folder / "asked.jsonl", [{"context": t, "answer": "mat", "aliases": ["the mat"]} for t in some[:4]])
    return folder


def run(model, data, out, **more):
    return recipe.run(EvalConfig(models=(model,), task_data=data, out=out, device="cpu", **more))


@pytest.fixture(scope="session")
def done(model, tasks, tmp_path_factory):
    """One whole run, and its result."""
    out = tmp_path_factory.mktemp("out") / "scores"
    return run(model, tasks, out), out


def test_report_has_the_contracts_keys(done):
    (report,) = done[0].values["models"]
    assert list(report) == KEYS
    assert report["name"] == "lm"
    assert list(report["tasks"]) == ["jeopardy", "copa", "winograd", "asked", "mine"]
    for entry in report["tasks"].values():
        assert set(entry) == TASK_KEYS
        assert 0 <= entry["low"] <= entry["accuracy"] <= entry["high"] <= 1
    copa, mine = report["tasks"]["copa"], report["tasks"]["mine"]
    assert (copa["n"], copa["shots"], copa["baseline"]) == (30, 0, 0.5)
    assert copa["centered"] == pytest.approx((copa["accuracy"] - 0.5) / 0.5)
    assert (mine["baseline"], mine["baseline_v1"]) == (0.25, 0.25)
    assert report["core_v2"] is None
    assert len(report["missing"]["core"]) == 19
    assert "mine" not in report["missing"]["extended"]


def test_table_of_scores(done):
    table = read_tables(done[1])
    rows = table.to_pylist()
    assert table.column_names[:10] == [
        "model", "task", "shots", "metric", "value", "low", "high", "n", "baseline", "centered",
    ]  # fmt: skip
    report = done[0].values["models"][0]["tasks"]
    assert {row["task"]: (row["value"], row["centered"]) for row in rows} == {
        name: (entry["accuracy"], entry["centered"]) for name, entry in report.items()
    }
    assert {row["model"] for row in rows} == {"lm"}
    assert sorted(path.name for path in done[1].iterdir()) == ["manifest.json", "part-00000.parquet"]


def test_scores_are_aggregated_again(done):
    (report,) = eval_aggregate.run(AggregateConfig(files=(done[1],))).values["models"]
    wanted = done[0].values["models"][0]
    assert report["missing"] == wanted["missing"]
    for name, entry in report["tasks"].items():
        again = {key: value for key, value in wanted["tasks"][name].items() if key != "truncated"}
        if name in {"mine", "asked"}:
            again |= dict.fromkeys(("baseline", "baseline_v1", "centered", "centered_v1"))  # a table of no task of ours
        assert entry == again


def test_all_core_tasks_give_core(model, tmp_path):
    """CORE stands where all 22 files are, EXTENDED is refused by name."""
    from vlmkit.core.evaluate.aggregate import centered
    from vlmkit.core.evaluate.dclm import CORE, TASKS
    from vlmkit.core.evaluate.tasks import Form

    row = {
        Form.CHOICE: {"query": "a cat", "choices": ["sat", "ran"], "gold": 0},
        Form.SCHEMA: {"context_options": ["a cat", "a dog"], "continuation": "sat", "gold": 1},
        Form.LANGUAGE: {"context": "a cat", "continuation": "sat", "category": "c"},
    }
    for name in CORE:
        write(tmp_path / TASKS[name].file, [row[TASKS[name].form]] * 3)
    (report,) = run(model, tmp_path, tmp_path / "out", tasks=("core",)).values["models"]
    for version in ("v1", "v2"):
        base = {name: TASKS[name].baseline_v1 if version == "v1" else TASKS[name].baseline for name in CORE}
        values = [centered(report["tasks"][name]["accuracy"], base[name]) for name in CORE]
        assert report[f"core_{version}"] == pytest.approx(sum(values) / 22, abs=1e-12)
        assert report[f"extended_{version}"] is None
    assert report["missing"]["core"] == []
    assert len(report["missing"]["extended"]) == 31


def test_batch_size_changes_nothing_not_even_the_digest(model, tasks, done, tmp_path):
    run(model, tasks, tmp_path / "other", batch_size=3)
    assert read_manifest(tmp_path / "other").content_digest == read_manifest(done[1]).content_digest


def test_same_words_give_the_stored_result_and_others_are_refused(model, tasks, done):
    again = run(model, tasks, done[1])
    assert again.reused
    assert again.values == done[0].values
    with pytest.raises(InputError, match="another run"):
        run(model, tasks, done[1], limit=3)


def test_limit_counts_rows_of_each_category(model, tasks, tmp_path):
    (report,) = run(model, tasks, tmp_path / "out", limit=3, shots=2).values["models"]
    assert {name: entry["n"] for name, entry in report["tasks"].items()} == {
        "jeopardy": 6, "copa": 3, "winograd": 3, "asked": 3, "mine": 3,
    }  # fmt: skip
    assert {entry["shots"] for entry in report["tasks"].values()} == {2}


def test_cut_prompts_are_counted_and_said(model, tasks, tmp_path, caplog):
    (report,) = run(model, tasks, tmp_path / "out", tasks=("jeopardy", "copa"), max_seq_len=24).values["models"]
    assert report["tasks"]["jeopardy"]["truncated"] == 30
    assert report["tasks"]["copa"]["truncated"] == 0
    assert "cut on the left to 24 tokens: jeopardy (30 of 30 rows)" in caplog.text


def test_task_that_does_not_fit_is_null_and_the_others_stand(model, tasks, tmp_path, caplog):
    folder = shutil.copytree(tasks, tmp_path / "tasks")
    write(folder / "arc_easy.jsonl", [{"query": "a", "choices": ["cat " * 200, "a"], "gold": 0}])
    (report,) = run(model, folder, tmp_path / "out", tasks=("arc_easy", "copa")).values["models"]
    assert report["tasks"]["arc_easy"]["accuracy"] is report["tasks"]["arc_easy"]["centered"] is None
    assert report["tasks"]["copa"]["accuracy"] is not None
    assert "arc_easy" in report["missing"]["core"]
    assert "longer than 128 tokens: arc_easy needs" in caplog.text
    assert [row["task"] for row in iter_rows(tmp_path / "out")] == ["copa"]
    with pytest.raises(InputError, match="no task fits into 128 tokens"):
        run(model, folder, tmp_path / "none", tasks=("arc_easy",))
    assert not (tmp_path / "none").exists()


def test_name_is_the_runs(model, tasks, tmp_path):
    shutil.copytree(model, tmp_path / "run" / "model")
    row = {"name": "llama-tiny-1", "dataset": "d", "N": 1.0, "D": 1.0, "M": 1.0, "target_multiplier": 1.0, "C": 6.0}
    write_table(tmp_path / "run" / "run.parquet", [row], kind="runs")
    for number, given in enumerate((tmp_path / "run", tmp_path / "run" / "model")):
        found = run(given, tasks, tmp_path / f"out{number}", tasks=("copa",))
        assert found.values["models"][0]["name"] == "llama-tiny-1"
        assert found.next.startswith("vlmkit fit-scaling ")


def test_models_of_one_name_are_told_apart(model, tasks, tmp_path):
    for side in ("left", "right"):
        shutil.copytree(model, tmp_path / side / "lm")
    both = (tmp_path / "left" / "lm", tmp_path / "right" / "lm")
    config = EvalConfig(models=both, task_data=tasks, tasks=("copa",), out=tmp_path / "out", device="cpu")
    assert [report["name"] for report in recipe.run(config).values["models"]] == ["left/lm", "right/lm"]
    with pytest.raises(InputError, match="two models are named"):
        recipe.run(EvalConfig(models=(both[0], both[0]), task_data=tasks, out=tmp_path / "no", device="cpu"))


def test_bad_inputs_are_refused_before_anything_is_made(model, tasks, tmp_path):
    bare = shutil.copytree(model, tmp_path / "bare")
    for path in bare.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(InputError, match="no tokenizer here") as caught:
        run(bare, tasks, tmp_path / "out")
    assert "--tokenizer" in caught.value.fix
    assert run(bare, tasks, tmp_path / "lent", tokenizer=model, tasks=("copa",)).artifact
    broken = shutil.copytree(tasks, tmp_path / "broken")
    with (broken / "mine.jsonl").open("a") as handle:
        handle.write('{"query": "a", "choices": ["b"], "gold": 1}\n')
    with pytest.raises(InputError, match="gold is 1, out of range") as caught:
        run(model, broken, tmp_path / "out")
    assert caught.value.where.endswith("mine.jsonl:31")
    assert not (tmp_path / "out").exists()


def test_tokenizer_of_another_model_is_refused(model, tasks, tmp_path):
    from vlmkit.core.models.tokenizers import save_tokenizer, train_tokenizer

    text = " ".join(f"{a}{b}{a}" for a in "qwertyuiop" for b in "asdfghjkl")
    save_tokenizer(train_tokenizer([text * 5], vocab_size=400), tmp_path / "foreign")
    with pytest.raises(InputError, match="but the model knows"):
        run(model, tasks, tmp_path / "out", tokenizer=tmp_path / "foreign")


def test_dry_run_writes_nothing(model, tasks, tmp_path):
    config = EvalConfig(models=(model,), task_data=tasks, out=tmp_path / "out", dry_run=True, device="cpu")
    plan = recipe.run(config).values["plan"]
    assert plan["models"][0]["max_seq_len"] == 128
    assert {row["task"]: (row["rows"], row["sequences"]) for row in plan["tasks"]}["mine"] == (30, 120)
    assert list(tmp_path.iterdir()) == []


def test_what_was_scored_before_an_interruption_is_not_scored_again(model, tasks, done, tmp_path, monkeypatch):
    scored, measure = [], recipe.measure

    def stop_after_two(*words, **more):
        if len(scored) == 2:
            raise KeyboardInterrupt
        scored.append(more["label"])
        return measure(*words, **more)

    monkeypatch.setattr(recipe, "measure", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        run(model, tasks, tmp_path / "out")
    monkeypatch.setattr(recipe, "measure", lambda *w, **m: scored.append(m["label"]) or measure(*w, **m))
    assert run(model, tasks, tmp_path / "out").values == done[0].values
    assert scored == ["lm jeopardy", "lm copa", "lm winograd", "lm asked", "lm mine"]
    assert read_manifest(tmp_path / "out").content_digest == read_manifest(done[1]).content_digest


def test_killed_run_goes_on_to_the_same_digest(model, tasks, done, tmp_path):
    out = tmp_path / "out"
    words = ["eval", model, "--task-data", tasks, "--device", "cpu", "--out", out, "--json"]
    command = [sys.executable, "-m", "vlmkit", *map(str, words)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    while process.poll() is None and not list(out.glob(".vlmkit/0-*.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "manifest.json").exists() or process.returncode == 0
    finished = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    assert json.loads(finished.stdout)["models"] == done[0].values["models"]
    assert read_manifest(out).content_digest == read_manifest(done[1]).content_digest
    assert not (out / ".vlmkit").exists()


def test_aggregate_on_the_command_line(vlmkit, tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, [{"file": "x.json", "icl": {"copa": 0.86, "gsm8k": 0.1}}, {"icl": {"copa": 0.5}}])
    found = vlmkit("eval", "aggregate", path, "--json")
    assert (found.code, found.json["artifact"]) == (0, None)
    assert [report["name"] for report in found.json["models"]] == ["x.json", "a"]
    assert found.json["models"][0]["tasks"]["copa"]["centered"] == pytest.approx(0.72)
    assert list(tmp_path.iterdir()) == [path]
    table = vlmkit("eval", "aggregate", path)
    assert "hellaswag_zeroshot, jeopardy, bigbench_qa_wikidata" in table.out
    kept = vlmkit("eval", "aggregate", path, "--out", tmp_path / "kept", "--json")
    assert kept.json["artifact"] == str(tmp_path / "kept")
    assert read_tables(tmp_path / "kept").num_rows == 3


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["eval", "nowhere", "--task-data", ".", "--out", "o"], "nowhere does not exist"),
        (["eval", ".", "--out", "o"], "task-data"),
        (["eval", ".", "--task-data", ".", "--out", "o", "--limit", "0"], "--limit is 0"),
        (["eval", "aggregate", "nowhere.json"], "nowhere.json does not exist"),
    ],
)
def test_wrong_words_leave_with_two_and_make_nothing(vlmkit, tmp_path, words, what):
    done = vlmkit(*words, cwd=tmp_path)
    assert done.code == 2
    assert what in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_the_shared_model_on_the_shared_tasks(shared, tmp_path):
    """CORE's local tasks on the golden model: its accuracies over the first 40 rows are the original scorer's."""
    wanted = {row["task"]: row for row in json.loads((shared("icl-vectors") / "accuracy.json").read_text())}
    names = ("copa", "openbook_qa", "winograd", "lambada_openai", "bigbench_operators", "triviaqa_sm_sub")
    folder = shared("icl-vectors")
    config = EvalConfig(
        models=(folder / "model",), tokenizer=folder / "tokenizer", task_data=shared("eval"), tasks=names,
        limit=40, out=tmp_path / "out", device="cpu",
    )  # fmt: skip
    (report,) = recipe.run(config).values["models"]
    assert {name: report["tasks"][name]["accuracy"] for name in names} == {
        name: pytest.approx(wanted[name]["accuracy"], abs=1e-7) for name in names
    }
