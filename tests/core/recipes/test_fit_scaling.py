"""`vlmkit fit-scaling` as a whole: what it prints, writes and refuses."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vlmkit.core.configs.fit_scaling import FitScalingConfig, FitScalingPredictConfig
from vlmkit.core.configs.fit_scaling_compare import FitScalingCompareConfig, FitScalingTasksConfig
from vlmkit.core.configs.fit_scaling_plan import FitScalingFrontierConfig, FitScalingPlanConfig
from vlmkit.core.errors import InputError
from vlmkit.core.recipes.fit_scaling import run
from vlmkit.core.recipes.fit_scaling_compare import run as compare
from vlmkit.core.recipes.fit_scaling_frontier import run as frontier
from vlmkit.core.recipes.fit_scaling_plan import run as plan
from vlmkit.core.recipes.fit_scaling_predict import run as predict
from vlmkit.core.recipes.fit_scaling_tasks import run as tasks

TABLE_2 = {
    "where": "dataset == 'rpj'",
    "loss_column": "loss_c4_val",
    "fit_where": "(M == 20 and N < 1e9) or (M == 320 and N < 2e7)",
    "downstream": ("err_avg17",),
    "downstream_fit_where": "(M == 20 and N < 2e9) or (M == 320 and N < 2e7)",
    "target": "N > 1e9",
}
TARGET_KEYS = {
    "name", "N", "D", "M", "true", "predicted", "low", "high", "relative_error", "inside", "downstream_true",
    "downstream_predicted", "downstream_low", "downstream_high", "downstream_relative_error",
}  # fmt: skip
KEYS = {
    "law", "params", "derived", "intervals", "objective", "rss", "dof", "n", "certificate", "warnings", "targets",
    "predictions",
}  # fmt: skip


def runs(path, *, noise=0.002, columns=("name", "N", "D", "loss"), drop=()):
    """A csv of 20 runs of a known law."""
    generator = np.random.default_rng(0)
    lines = [",".join(columns)]
    for size in np.geomspace(1e6, 1e8, 5):
        for multiplier in (5, 20, 80, 320):
            tokens = multiplier * size
            loss = (1.8 + 480 * size**-0.35 + 2100 * tokens**-0.35) * np.exp(noise * generator.standard_normal())
            lines.append(f"r{len(lines)},{size:.0f},{tokens:.0f},{loss!r}".replace("np.float64(", "").replace(")", ""))
    path.write_text("\n".join(line for number, line in enumerate(lines) if number not in drop) + "\n")
    return path


def bend(table, factor):
    """Make an outlier of one run of a csv."""
    lines = table.read_text().splitlines()
    name, size, tokens, loss = lines[7].split(",")
    lines[7] = f"{name},{size},{tokens},{float(loss) * factor}"
    table.write_text("\n".join(lines) + "\n")


def refused(table, tmp_path, **words):
    with pytest.raises(InputError) as caught:
        run(FitScalingConfig(tables=(table,), out=tmp_path / "refused", **words))
    assert not (tmp_path / "refused").exists()
    return caught.value


def test_table_2_in_one_line(shared, tmp_path):
    table = shared("scaling") / "gadre_c4_rpj.parquet"
    values = run(
        FitScalingConfig(tables=(table,), law="gadre", out=tmp_path / "law", predict=("7e9,140e9",), **TABLE_2)
    ).values
    assert set(values) >= KEYS
    assert set(values["params"]) == {"E", "a", "b", "eta", "downstream"}
    assert set(values["params"]["downstream"]) == {"eps", "k", "gamma"}
    assert set(values["derived"]) == {"A", "B", "alpha", "M_star"}
    assert values["dof"] == 1
    assert any("1 degree of freedom" in text for text in values["warnings"])
    targets = {(round(row["N"] / 1e9, 1), row["M"]): row for row in values["targets"]}
    assert len(targets) == 3
    for key, loss, error in (((1.4, 640), 0.7103, 3.6365), ((6.9, 20), 0.7320, 0.0464)):
        assert set(targets[key]) >= TARGET_KEYS
        assert 100 * targets[key]["relative_error"] == pytest.approx(loss, abs=5e-5)
        assert 100 * targets[key]["downstream_relative_error"] == pytest.approx(error, abs=5e-5)
    big = targets[6.9, 20]
    assert (big["high"] - big["low"]) / 2 == pytest.approx(1.06, rel=0.05)
    assert big["inside"] is True
    assert {"N", "D", "predicted", "low", "high"} <= set(values["predictions"][0])
    stored = json.loads((tmp_path / "law" / "law.json").read_text())
    assert json.loads(json.dumps(values)).items() <= stored.items()


def test_the_artifact_is_whole_and_the_same_every_time(tmp_path):
    table = runs(tmp_path / "runs.csv")
    words = {"tables": (table,), "target": "N > 9e7", "predict": ("1e9,2e10",)}
    first = run(FitScalingConfig(out=tmp_path / "a", **words))
    run(FitScalingConfig(out=tmp_path / "b", **words))
    files = ("law.json", "predictions.parquet", "draws.parquet", "fit.svg", "fit.png", "report.html")
    digests = [
        {name: hashlib.sha256((tmp_path / out / name).read_bytes()).hexdigest() for name in files} for out in "ab"
    ]
    assert digests[0] == digests[1]
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["kind"] == "law"
    assert manifest["logs"] == ["fit.svg", "fit.png", "report.html"]
    again = run(FitScalingConfig(out=tmp_path / "a", **words))
    assert again.reused
    assert again.values == json.loads(json.dumps(first.values))
    rows = pq.read_table(tmp_path / "a" / "predictions.parquet").to_pylist()
    assert [row["role"] for row in rows].count("target") == 4
    assert [row["role"] for row in rows].count("fit") == 16
    svg = (tmp_path / "a" / "fit.svg").read_text()
    assert "training compute C (FLOPs)" in svg
    assert str(tmp_path) not in svg


def test_a_stored_law_predicts_what_the_fit_predicted(tmp_path):
    table = runs(tmp_path / "runs.csv")
    fitted = run(FitScalingConfig(tables=(table,), out=tmp_path / "law", predict=("1e9,2e10", "1e8,1e9")))
    later = predict(FitScalingPredictConfig(law=str(tmp_path / "law"), predict=("1e9,2e10", "1e8,1e9")))
    assert later.values["predictions"] == fitted.values["predictions"]
    narrower = predict(FitScalingPredictConfig(law=str(tmp_path / "law"), predict=("1e9,2e10",), interval=0.5))
    wide, narrow = later.values["predictions"][0], narrower.values["predictions"][0]
    assert wide["low"] < narrow["low"] < narrow["predicted"] < narrow["high"] < wide["high"]
    assert any("decades" in text for text in later.values["warnings"])
    assert predict(
        FitScalingPredictConfig(law=str(tmp_path / "law"), predict=("1e8,1e9",), out=tmp_path / "p")
    ).artifact


def test_other_column_names_and_other_multipliers(tmp_path):
    plain = run(FitScalingConfig(tables=(runs(tmp_path / "a.csv"),), out=tmp_path / "a", law="chinchilla"))
    foreign = runs(tmp_path / "b.csv", columns=("model", "params", "tokens seen", "val/loss"))
    mapped = {"N": "params", "D": "tokens seen", "loss": "val/loss", "name": "model"}
    other = run(FitScalingConfig(tables=(foreign,), out=tmp_path / "b", law="chinchilla", map=mapped))
    assert other.values["params"] == plain.values["params"]


def test_tokens_follow_from_a_multiplier_and_parameters_from_compute(tmp_path):
    (tmp_path / "m.csv").write_text(
        "N,M,loss\n"
        + "".join(
            f"{n},{m},{5 - 0.1 * i}\n"
            for i, (n, m) in enumerate([(1e6, 20), (2e6, 40), (4e6, 20), (8e6, 80), (1e7, 20)])
        )
    )
    values = run(FitScalingConfig(tables=(tmp_path / "m.csv",), out=tmp_path / "m", target="N == 1e7")).values
    assert values["targets"][0]["D"] == 2e8


def test_runs_and_scores_of_our_own_commands_are_joined(tmp_path):
    import pyarrow as pa

    rows, scores = [], []
    for number, (size, multiplier) in enumerate([(1e5, 20), (3e5, 20), (1e6, 20), (1e5, 80), (3e5, 80), (1e6, 80)]):
        loss = 1.5 + 30 * size**-0.2 + 40 * (size * multiplier) ** -0.2
        rows.append(
            {"name": f"m{number}", "N": size, "D": size * multiplier, "M": float(multiplier), "loss_heldout": loss}
        )
        scores += [
            {
                "model": f"m{number}",
                "task": task,
                "metric": "accuracy",
                "value": 1 - (0.8 - 0.9 * np.exp(-0.7 * loss) - shift),
            }
            for task, shift in (("p", 0.0), ("q", 0.05))
        ]
    (tmp_path / "scores").mkdir()
    pq.write_table(pa.Table.from_pylist(scores), tmp_path / "scores" / "part-00000.parquet")
    for row in rows:
        (tmp_path / row["name"]).mkdir()
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / row["name"] / "run.parquet")
    tables = (*(tmp_path / row["name"] for row in rows), tmp_path / "scores")
    values = run(
        FitScalingConfig(tables=tables, out=tmp_path / "law", downstream=("err_avg",), target="name == 'm5'")
    ).values
    target = values["targets"][0]
    assert target["predicted"] == pytest.approx(target["true"], rel=1e-5)
    assert target["downstream_predicted"] == pytest.approx(target["downstream_true"], rel=1e-4)
    assert values["downstream"]["gamma"] == pytest.approx(0.7, rel=1e-3)


def test_a_dry_run_writes_nothing(tmp_path):
    result = run(FitScalingConfig(tables=(runs(tmp_path / "runs.csv"),), out=tmp_path / "law", dry_run=True))
    assert result.values["plan"]["fitted"] == 20
    assert not (tmp_path / "law").exists()


def test_the_five_outliers_are_left_out_by_an_expression(shared, tmp_path):
    table = shared("chinchilla") / "chinchilla_245.csv"
    values = run(
        FitScalingConfig(tables=(table,), law="chinchilla", where="not excluded_by_epoch", out=tmp_path / "law")
    ).values
    assert values["n"] == 240
    assert values["params"]["beta"] == pytest.approx(0.36717, abs=3e-5)
    assert values["objective"] <= 1.01827403e-3


@pytest.mark.parametrize(
    ("change", "what", "where"),
    [
        (("r3,", "r3,-"), "N is -1e+06", "run 'r3'"),
        (("r3,1000000", "r3,0"), "N is 0", "run 'r3'"),
        (("r5,3162278,15811388", "r5,3162278,"), "D is missing", "run 'r5'"),
        (("r5,3162278,15811388", "r5,3162278,inf"), "D is inf", "run 'r5'"),
        (("r5,", "r4,"), None, None),
    ],
)
def test_numbers_that_no_law_can_take(change, what, where, tmp_path):
    table = runs(tmp_path / "runs.csv")
    text = table.read_text()
    assert change[0] in text
    table.write_text(text.replace(*change))
    if what is None:
        run(FitScalingConfig(tables=(table,), out=tmp_path / "law"))  # two runs may share a name
        return
    error = refused(table, tmp_path)
    assert what in error.what
    assert where in error.where
    run(FitScalingConfig(tables=(table,), out=tmp_path / "law", where=f"name != '{where[5:-1]}'"))


def test_what_cannot_be_fitted_is_refused_with_a_sentence(tmp_path):
    table = runs(tmp_path / "runs.csv")
    assert (
        "3 points cannot determine the 4 parameters"
        in refused(table, tmp_path, fit_where="N < 2e6 and D < 3e7 or N > 9e7 and D < 6e8").what
    )
    assert "N is 1e+06 in all runs" in refused(table, tmp_path, where="N < 2e6").what
    assert "M is 20 in all runs" in refused(table, tmp_path, where="D == 20 * N").what
    assert refused(table, tmp_path, loss_column="los").fix == "did you mean 'loss'?"
    assert refused(table, tmp_path, downstream=("err",)).where == "--downstream"
    assert refused(table, tmp_path, target="N > 1e12").what == "--target chooses no run"
    assert refused(table, tmp_path, where="name == 'none'").what == "--where chooses no run"
    assert refused(table, tmp_path, map={"N": "parms"}).where == "--map"
    assert "holds text" in refused(table, tmp_path, map={"N": "name"}).what
    text = table.read_text().splitlines()
    table.write_text("\n".join([*text, text[3]]) + "\n")
    error = refused(table, tmp_path)
    assert (error.what, error.where) == ("a run is there twice", "run 'r3'")


def test_a_table_without_sizes_or_losses_says_how_to_name_them(tmp_path):
    (tmp_path / "a.csv").write_text("params,loss\n1,2\n")
    assert refused(tmp_path / "a.csv", tmp_path).fix == "name it: --map N=COLUMN"
    (tmp_path / "b.csv").write_text("N,D,ppl\n1,2,3\n")
    assert "--loss-column" in refused(tmp_path / "b.csv", tmp_path).fix
    (tmp_path / "c.csv").write_text("N,D,loss_a,loss_b,loss_lo95_a\n1,2,3,4,5\n")
    assert refused(tmp_path / "c.csv", tmp_path).what == "2 columns are losses"


@pytest.mark.parametrize("words", [{"predict": ("7e9",)}, {"predict": ("7e9,-1",)}, {"interval": 95.0}, {"delta": 0.0}])
def test_senseless_options_are_refused_before_anything_is_read(words):
    with pytest.raises(InputError):
        FitScalingConfig(tables=(Path("nowhere.csv"),), out=Path("x"), **words)


def test_a_law_that_is_none_is_refused(tmp_path):
    (tmp_path / "law").mkdir()
    (tmp_path / "law" / "law.json").write_text('{"law": "gadre"}')
    with pytest.raises(InputError, match="not a law"):
        predict(FitScalingPredictConfig(law=str(tmp_path / "law"), predict=("1e9,2e10",)))


@pytest.fixture(scope="module")
def law(tmp_path_factory):
    """A law with bootstrap draws, fitted once."""
    folder = tmp_path_factory.mktemp("law")
    table = runs(folder / "runs.csv")
    run(FitScalingConfig(tables=(table,), law="chinchilla", out=folder / "law", bootstrap=200))
    return folder / "law"


def test_draws_are_kept_by_name_and_give_the_same_intervals_later(law):
    draws = pq.read_table(law / "draws.parquet")
    assert draws.num_rows == 200
    assert {"draw", "E", "A", "B", "alpha", "beta", "a_opt"} <= set(draws.column_names)
    stored = json.loads((law / "law.json").read_text())
    assert stored["uncertainty"] == "bootstrap"
    low, high = stored["intervals"]["alpha"]
    inner = np.percentile(draws["alpha"].to_numpy(), [2.5, 97.5])
    assert (low, high) == pytest.approx(inner, abs=0.1 * (inner[1] - inner[0]))  # stretched by t / z
    first = predict(FitScalingPredictConfig(law=str(law), predict=("1e9,2e10",))).values["predictions"]
    assert (
        first
        == predict(FitScalingPredictConfig(law=str(law / "law.json"), predict=("1e9,2e10",))).values["predictions"]
    )
    assert first[0]["low"] < first[0]["predicted"] < first[0]["high"]


def test_a_law_from_its_parameters_alone(tmp_path):
    words = {"law": "chinchilla", "params": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.336, "beta": 0.283}}
    (tmp_path / "mine.json").write_text(json.dumps(words))
    found = predict(FitScalingPredictConfig(law=str(tmp_path / "mine.json"), predict=("13e9,5.765e11",))).values
    assert found["predictions"][0]["predicted"] == pytest.approx(2.04528, abs=1e-5)
    assert found["predictions"][0]["low"] is None
    assert any("without its points" in text for text in found["warnings"])
    saved = plan(FitScalingPlanConfig(law=str(tmp_path / "mine.json"), like=(13e9,), inference=2e12)).values
    assert saved["plan"]["N"] == pytest.approx(6.97e9, rel=5e-3)
    assert saved["saving"]["fraction"] == pytest.approx(0.1745, abs=1e-3)
    (tmp_path / "odd.json").write_text(json.dumps({"law": "chinchila", "params": {}}))
    with pytest.raises(InputError) as caught:
        predict(FitScalingPredictConfig(law=str(tmp_path / "odd.json"), predict=("1e9,1e10",)))
    assert caught.value.fix == "did you mean 'chinchilla'?"
    with pytest.raises(InputError) as caught:
        predict(FitScalingPredictConfig(law="hoffman", predict=("1e9,1e10",)))
    assert "hoffmann2022" in caught.value.fix


def test_the_frontier_and_its_table(law, tmp_path):
    found = frontier(FitScalingFrontierConfig(law=str(law), compute=(1e19, 1e21), out=tmp_path / "f"))
    assert [row["C"] for row in found.values["frontier"]] == [1e19, 1e21]
    row = found.values["frontier"][0]
    assert 6 * row["N"] * row["D"] == pytest.approx(1e19)
    assert row["N_low"] < row["N"] < row["N_high"]
    assert found.values["exponent"]["low"] < found.values["exponent"]["N"] < found.values["exponent"]["high"]
    assert found.values["approaches"]["approach2"] is None  # four multipliers at five sizes are no IsoFLOP profiles
    assert pq.read_table(tmp_path / "f" / "part-00000.parquet").num_rows == 2
    assert frontier(FitScalingFrontierConfig(law=str(law), compute=(1e19, 1e21), out=tmp_path / "f")).reused
    several = frontier(FitScalingFrontierConfig(law=str(law))).values["frontier"]
    assert len(several) > 3
    with pytest.raises(InputError, match="no runs to take budgets from"):
        frontier(FitScalingFrontierConfig(law="besiroglu2024"))


def test_plans_by_every_way_of_asking(law, tmp_path):
    for words in (
        {"compute": 1e20}, {"budget": 1e20, "inference": 1e11}, {"loss": 2.4, "inference": 1e12}, {"like": (1e8, 1e10)},
        {"budget": 500.0, "price_training": 1e-17, "price_inference": 2e-17, "inference": 1e11},
        {"loss": 2.7, "params": 2e8}, {"budget": 1e20, "tokens": 1e10}, {"compute": 1e20, "max_params": 1e8},
    ):  # fmt: skip
        found = plan(FitScalingPlanConfig(law=str(law), **words)).values
        assert found["plan"]["N"] > 0
        assert found["plan"]["loss_low"] < found["plan"]["loss"] < found["plan"]["loss_high"]
        assert json.dumps(found, allow_nan=False)
    found = plan(FitScalingPlanConfig(law=str(law), compute=1e20, out=tmp_path / "p"))
    assert found.values["plan"]["training_flops"] == pytest.approx(1e20)
    assert pq.read_table(tmp_path / "p" / "part-00000.parquet")["N"].to_pylist() == [found.values["plan"]["N"]]
    following = plan(FitScalingPlanConfig(law=str(law), next=True, predict=("1e10,2e11",), budget=1e20)).values["next"]
    assert following["runs"][0]["half_width"] < following["half_width"]


@pytest.mark.parametrize(
    "words",
    [
        {}, {"compute": 1e20, "loss": 2.0}, {"compute": 1e20, "inference": 1e10}, {"compute": -1.0},
        {"loss": 2.0, "params": 1e9, "tokens": 1e10}, {"next": True, "budget": 1e20}, {"like": (1e9, 1e10, 1e11)},
        {"next": True, "loss": 2.0, "predict": ("1e9,1e10",)}, {"loss": 2.0, "predict": ("1e9,1e10",)},
        {"budget": 1e3, "price_inference": 1e-17},
    ],
)  # fmt: skip
def test_plans_that_ask_for_nothing_or_too_much(words):
    with pytest.raises(InputError):
        FitScalingPlanConfig(law="besiroglu2024", **words)


def test_laws_beside_one_another(tmp_path):
    table = runs(tmp_path / "runs.csv")
    found = compare(FitScalingCompareConfig(tables=(table,), out=tmp_path / "c"))
    assert found.values["best"] in ("gadre", "chinchilla")
    assert {row["law"] for row in found.values["laws"]} == {"gadre", "chinchilla", "kaplan", "power"}
    assert pq.read_table(tmp_path / "c" / "part-00000.parquet").num_rows == 4
    again = compare(
        FitScalingCompareConfig(tables=(table,), loss="huber", space="log", law=("gadre", "chinchilla-tied"))
    )
    one, other = again.values["laws"]
    assert one["loo_rms"] == pytest.approx(other["loo_rms"], rel=1e-9)  # the same curve
    with pytest.raises(InputError, match="nothing to be compared"):
        FitScalingCompareConfig(tables=(table,), law=("gadre",))


def test_the_seventeen_tasks_and_table_3_of_the_paper(shared, tmp_path):
    folder = shared("scaling")
    small = "N > 1.5e8 and N < 1.6e8"
    table, chance = folder / "gadre_c4_rpj.parquet", folder / "tasks.csv"
    found = tasks(FitScalingTasksConfig(tables=(table,), baselines=chance, at=small, out=tmp_path / "t")).values
    assert len(found["chosen"]) == 17
    words = {key: TABLE_2[key] for key in ("where", "loss_column", "fit_where", "downstream_fit_where")}
    told = tasks(FitScalingTasksConfig(tables=(table,), baselines=chance, at=small, target="N > 2e9", **words)).values
    errors = {row["name"]: 100 * row["mean_error"] for row in told["tasks"]}
    for name, value in {
        "arc_easy": 5.21, "lambada_openai": 14.39, "openbook_qa": 8.44, "hellaswag_zeroshot": 25.73
    }.items():  # fmt: skip
        assert errors[name] == pytest.approx(value, abs=0.01)
    with pytest.raises(InputError, match="no task has both"):
        tasks(FitScalingTasksConfig(tables=(table,), at=small))


def test_baselines_come_from_our_own_scores(tmp_path):
    import pyarrow as pa

    lines = ["name,N,D,loss"]
    scores = []
    for number, size in enumerate((1e6, 3e6, 1e7, 3e7, 1e8)):
        lines.append(f"m{number},{size},{20 * size * (1 + number % 2)},{4 - 0.3 * number}")
        scores += [
            {"model": f"m{number}", "task": task, "metric": "accuracy", "value": value, "baseline": 0.25}
            for task, value in (("learns", 0.25 + 0.1 * number), ("guesses", 0.26))
        ]
    (tmp_path / "runs.csv").write_text("\n".join(lines))
    pq.write_table(pa.Table.from_pylist(scores), tmp_path / "scores.parquet")
    found = tasks(FitScalingTasksConfig(tables=(tmp_path / "runs.csv", tmp_path / "scores.parquet"))).values
    assert found["chosen"] == ["learns"]


def test_a_task_is_not_chosen_by_the_model_that_it_is_to_be_predicted_for(tmp_path):
    lines = ["name,N,D,loss,err_late"]
    for number, size in enumerate((1e6, 3e6, 1e7, 3e7, 1e8)):
        lines.append(
            f"m{number},{size},{20 * size * (1 + number % 2)},{4 - 0.3 * number},{0.5 if number == 4 else 0.75}"
        )
    (tmp_path / "runs.csv").write_text("\n".join(lines))
    (tmp_path / "chance.csv").write_text("task,chance\nlate,0.25\n")
    words = {"tables": (tmp_path / "runs.csv",), "baselines": tmp_path / "chance.csv", "law": "power"}
    assert tasks(FitScalingTasksConfig(**words)).values["chosen"] == ["late"]
    assert tasks(FitScalingTasksConfig(**words, target="N > 5e7")).values["chosen"] == []
    assert tasks(FitScalingTasksConfig(**words, target="N > 5e7", at="N > 0")).values["chosen"] == ["late"]


def test_what_a_fit_warns_of_stays_with_its_law(tmp_path):
    """Whoever asks a law later did not see the fit."""
    table = runs(tmp_path / "runs.csv")
    bend(table, 1.3)
    told = run(FitScalingConfig(tables=(table,), law="chinchilla", out=tmp_path / "law")).values["warnings"]
    (outlier,) = [one for one in told if one.startswith("1 run does not follow")]
    word = str(tmp_path / "law")
    for values in (
        predict(FitScalingPredictConfig(law=word, predict=("1e9,2e10",))).values,
        frontier(FitScalingFrontierConfig(law=word, compute=(1e19,))).values,
        plan(FitScalingPlanConfig(law=word, compute=1e19)).values,
        plan(FitScalingPlanConfig(law=word, next=True, predict=("1e9,2e10",), budget=1e19)).values,
    ):
        assert outlier in values["warnings"]


def test_tables_as_spreadsheets_write_them(tmp_path):
    """UTF-16 with its mark, blanks after commas; other bytes are refused with a sentence."""
    table = runs(tmp_path / "runs.csv")
    expected = run(FitScalingConfig(tables=(table,), out=tmp_path / "law")).values["params"]
    text = table.read_text()
    for number, encoded in enumerate((text.encode("utf-16"), text.replace(",", ", ").encode())):
        (tmp_path / f"{number}.csv").write_bytes(encoded)
        assert (
            run(FitScalingConfig(tables=(tmp_path / f"{number}.csv",), out=tmp_path / str(number))).values["params"]
            == expected
        )
    (tmp_path / "latin.csv").write_bytes(text.replace("loss", "Verlust \u00fc", 1).encode("latin-1"))
    assert "in UTF-8" in refused(tmp_path / "latin.csv", tmp_path).fix


def test_columns_that_are_there_twice_are_refused(tmp_path):
    table = runs(tmp_path / "runs.csv")
    lines = [f"{line},{'loss' if number == 0 else 3}" for number, line in enumerate(table.read_text().splitlines())]
    table.write_text("\n".join(lines) + "\n")
    assert refused(table, tmp_path).what == "there are several columns 'loss'"


def test_percents_are_told_and_refused_where_they_are_accuracies(tmp_path):
    table = runs(tmp_path / "runs.csv")
    lines = table.read_text().splitlines()
    rows = [f"{line},{90 - 5 * number / 4}" for number, line in enumerate(lines[1:])]
    table.write_text("\n".join([lines[0] + ",err_x", *rows]) + "\n")
    found = run(FitScalingConfig(tables=(table,), downstream=("err_x",), out=tmp_path / "law")).values
    assert any("err_x goes from 66.2 to 90, but an error is a fraction" in text for text in found["warnings"])
    (tmp_path / "chance.csv").write_text("task,chance\nx,0.25\n")
    with pytest.raises(InputError, match="err_x is 90"):
        tasks(FitScalingTasksConfig(tables=(table,), baselines=tmp_path / "chance.csv"))


def test_sizes_follow_from_compute_and_multiplier(tmp_path):
    table = runs(tmp_path / "runs.csv")
    expected = run(FitScalingConfig(tables=(table,), out=tmp_path / "a")).values["params"]
    lines = ["name,M,C,loss"]
    for line in table.read_text().splitlines()[1:]:
        name, size, tokens, loss = line.split(",")
        lines.append(f"{name},{float(tokens) / float(size)!r},{6 * float(size) * float(tokens)!r},{loss}")
    (tmp_path / "mc.csv").write_text("\n".join(lines) + "\n")
    found = run(FitScalingConfig(tables=(tmp_path / "mc.csv",), out=tmp_path / "b")).values["params"]
    assert found == pytest.approx(expected, rel=1e-6)


def test_parameters_as_a_fit_prints_them_are_a_law_with_its_downstream_one(tmp_path):
    params = {"E": 1.69, "A": -406.4, "B": 410.7, "alpha": 0.336, "beta": 0.283}
    words = {"law": "chinchilla", "params": params | {"downstream": {"eps": 0.85, "k": 2.2, "gamma": 0.71}}}
    (tmp_path / "mine.json").write_text(json.dumps(words))
    found = predict(FitScalingPredictConfig(law=str(tmp_path / "mine.json"), predict=("13e9,5.765e11",))).values
    (row,) = found["predictions"]
    assert row["downstream_predicted"] == pytest.approx(0.85 - 2.2 * np.exp(-0.71 * row["predicted"]))
    assert any("A = -406 of the fit is not positive" in text for text in found["warnings"])
    words["params"]["downstream"] = {"eps": 1}
    (tmp_path / "mine.json").write_text(json.dumps(words))
    with pytest.raises(InputError, match="no downstream law"):
        predict(FitScalingPredictConfig(law=str(tmp_path / "mine.json"), predict=("13e9,5.765e11",)))


def test_odd_cells_are_named(tmp_path):
    table = runs(tmp_path / "runs.csv")
    lines = table.read_text().splitlines()
    name, size, tokens, loss = lines[4].split(",")
    for cells, what, where in (
        (f"{name},{size},{tokens},n/a?", "column 'loss' holds 'n/a?'", f"run '{name}'"),
        (f"{name},7B,{tokens},{loss}", "column 'N' holds text: '7B'", "row 4"),
    ):
        (tmp_path / "odd.csv").write_text("\n".join([*lines[:4], cells, *lines[5:]]) + "\n")
        error = refused(tmp_path / "odd.csv", tmp_path)
        assert (error.what, error.where) == (what, where)


def test_a_target_that_takes_every_run_is_refused_even_dry(tmp_path):
    table = runs(tmp_path / "runs.csv")
    assert "no run is left to fit" in refused(table, tmp_path, target="N > 0").what
    assert "no run is left to fit" in refused(table, tmp_path, target="N > 0", dry_run=True).what
    assert "2 points cannot determine" in refused(table, tmp_path, fit_where="N < 2e6 and D < 3e7", dry_run=True).what


def test_wild_outliers_and_large_seeds_end_in_numbers(tmp_path):
    """Resampled residuals may take a loss below zero, where Kaplan's law has no logarithm."""
    table = runs(tmp_path / "runs.csv")
    bend(table, 4)
    words = {"tables": (table,), "law": "kaplan", "bootstrap": 50, "seed": 99_999_999_999}
    for kind in ("residual", "pairs"):
        found = run(FitScalingConfig(**words, bootstrap_kind=kind, out=tmp_path / kind)).values
        assert found["bootstrap"]["draws"] == 50


def test_a_power_law_of_compute_from_compute_alone(tmp_path):
    generator = np.random.default_rng(0)
    flops = np.geomspace(1e17, 1e22, 12)
    loss = 1.6 + 250 * flops**-0.11 * np.exp(0.001 * generator.standard_normal(12))
    (tmp_path / "c.csv").write_text("flops,val\n" + "".join(f"{c},{y}\n" for c, y in zip(flops, loss, strict=True)))
    words = {"tables": (tmp_path / "c.csv",), "law": "power", "map": {"C": "flops", "loss": "val"}}
    found = run(
        FitScalingConfig(out=tmp_path / "law", target="C > 1e21", predict=("1e24", "7e9,1.4e11"), **words)
    ).values
    assert found["predictions"][0]["C"] == 1e24
    assert found["predictions"][1]["C"] == pytest.approx(6 * 7e9 * 1.4e11)
    assert found["targets"][0]["inside"] is True
    with pytest.raises(InputError, match="needs N and D"):
        FitScalingConfig(tables=words["tables"], out=tmp_path / "x", predict=("1e24",))
    later = predict(FitScalingPredictConfig(law=str(tmp_path / "law"), predict=("1e24",))).values
    assert later["predictions"][0] == found["predictions"][0]


def test_words_and_pictures_come_with_a_fit(tmp_path):
    table = runs(tmp_path / "runs.csv")
    found = run(FitScalingConfig(tables=(table,), out=tmp_path / "law", explain=True))
    assert "no run gets below a loss of" in found.values["explanation"]
    assert found.shown["in words"] == found.values["explanation"]
    assert "in words" not in run(FitScalingConfig(tables=(table,), out=tmp_path / "law")).shown
    assert (tmp_path / "law" / "fit.png").read_bytes()[:4] == b"\x89PNG"
    assert found.values["explanation"] in (tmp_path / "law" / "report.html").read_text()
    assert len(found.values["data_digest"]) == 64
    assert found.values["diagnostics"]["jarque_bera_p"] > 1e-4


def test_fits_to_several_training_sets_are_warned_of(shared, tmp_path):
    table = shared("scaling") / "gadre_c4_rpj.parquet"
    found = run(FitScalingConfig(tables=(table,), loss_column="loss_c4_val", out=tmp_path / "law")).values
    assert any("trained on 2 datasets" in text for text in found["warnings"])


@pytest.mark.parametrize(
    "words",
    [
        {"bootstrap": 5}, {"bootstrap": 100, "uncertainty": "wald"}, {"law": "kaplan", "delta": 0.1},
        {"downstream_fit_where": "N > 1"},
    ],
)  # fmt: skip
def test_options_that_contradict_one_another(words):
    with pytest.raises(InputError):
        FitScalingConfig(tables=(Path("nowhere.csv"),), out=Path("x"), **words)


def test_a_cluster_that_is_no_column_and_clusters_that_are_not_named(tmp_path):
    table = runs(tmp_path / "runs.csv")
    assert refused(table, tmp_path, cluster="nam").fix == "did you mean 'name'?"
    with pytest.raises(InputError, match="no clusters"):
        FitScalingConfig(tables=(table,), out=tmp_path / "x", bootstrap_kind="cluster", dry_run=True)


def test_products_of_whole_numbers_do_not_overflow(tmp_path):
    """6 N D of a 7B run on 2T tokens is 8.4e22, ten thousand times what int64 holds."""
    sizes = (70_000_000, 400_000_000, 1_000_000_000, 7_000_000_000)
    lines = ["name,N,D,loss"] + [
        f"r{size}-{tokens},{size},{tokens},{1.8 + 480 * size**-0.35 + 2100 * tokens**-0.35:.6f}"
        for size in sizes
        for tokens in (20 * size, 2_000_000_000_000)
    ]
    (tmp_path / "big.csv").write_text("\n".join(lines))
    run(FitScalingConfig(tables=(tmp_path / "big.csv",), out=tmp_path / "law", target="N > 2e9"))
    rows = pq.read_table(tmp_path / "law" / "predictions.parquet").to_pylist()
    assert max(row["C"] for row in rows) == 6.0 * 7e9 * 2e12
    assert all(row["C"] > 0 for row in rows)
    stored = json.loads((tmp_path / "law" / "law.json").read_text())
    assert stored["params"]["E"] == pytest.approx(1.8, abs=1e-3)


def test_a_damaged_law_is_refused_and_a_law_without_an_optimum_says_so(law, tmp_path):
    stored = json.loads((law / "law.json").read_text())
    damages = [
        lambda one: one["fit"].update(solution=[1.0]), lambda one: one["fit"].update(order=[0]),
        lambda one: one["fit"].update(over=[]), lambda one: one["fit"]["points"].update(y=[1.0]),
        lambda one: one.update(names=["a"]), lambda one: one.pop("draws"),
    ]  # fmt: skip
    for damage in damages:
        one = json.loads(json.dumps(stored))
        damage(one)
        (tmp_path / "law.json").write_text(json.dumps(one))
        with pytest.raises(InputError, match="not a law"):
            predict(FitScalingPredictConfig(law=str(tmp_path / "law.json"), predict=("1e9,1e10",)))
    (tmp_path / "law.json").write_text(json.dumps(stored))  # without the draws beside it
    assert frontier(FitScalingFrontierConfig(law=str(tmp_path / "law.json"), compute=(1e20,))).values["frontier"][0][
        "N"
    ]
    odd = {"law": "kaplan", "params": {"N_c": 1e13, "D_c": 1e13, "alpha_N": 0.07, "alpha_D": 0}}
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    with pytest.raises(InputError, match="not a law"):
        predict(FitScalingPredictConfig(law=str(tmp_path / "odd.json"), predict=("1e9,1e10",)))
    none = {"law": "chinchilla", "params": {"E": 1.7, "A": -400.0, "B": 400.0, "alpha": 0.3, "beta": 0.3}}
    (tmp_path / "none.json").write_text(json.dumps(none))
    found = frontier(FitScalingFrontierConfig(law=str(tmp_path / "none.json"), compute=(1e20,)))
    assert any("no optimum" in text for text in found.values["warnings"])
    assert found.shown["frontier"][0]["N"] is None
