"""A study of odd data ends in numbers or in a sentence, never in a fault; and its account is honest."""

import json

import numpy as np
import pytest

from vlmkit.core.errors import InputError
from vlmkit.core.scaling.evidence import Places
from vlmkit.core.scaling.figure import png, svg
from vlmkit.core.scaling.influence import influence
from vlmkit.core.scaling.laws import law_of
from vlmkit.core.scaling.narrative import explain, tell
from vlmkit.core.scaling.page import page
from vlmkit.core.scaling.study import Method, Roles, arrange, findings, fit_laws, gather, judge, picture, table


def columns(kind, generator):
    """Runs that follow a law, or do not."""
    n = int(generator.integers(5, 30))
    N = np.exp(generator.uniform(10, 20, n))
    D = N * np.exp(generator.uniform(0, 6, n))
    loss = {
        "law": lambda: 1.8 + 480 * N**-0.35 + 2100 * D**-0.37,
        "chance": lambda: generator.uniform(1, 5, n),
        "noise": lambda: (1.8 + 480 * N**-0.35 + 2100 * D**-0.37) * np.exp(0.2 * generator.standard_normal(n)),
        "flat": lambda: 3.0 + 1e-7 * generator.standard_normal(n),
        "line": lambda: 10 - 0.2 * np.log(N) - 0.1 * np.log(D),
        "rising": lambda: 1 + 1e-3 * N**0.3,
    }[kind]()
    err = 0.9 - 0.5 * np.exp(-loss) + 0.01 * generator.standard_normal(n)
    names = np.array([f"r{row}" for row in range(n)], dtype=object)
    return {"N": N, "D": D, "loss": loss, "err": err, "name": names}


def study_of(table_, roles, *, law="gadre", error="exponential", loss="lsq", space="raw", how="wald", asked=()):
    """A study with its evidence and all that is found."""
    form = law_of(law)
    study = arrange(table_, roles, law=form, loss=None, error_law=law_of(error))
    fits = fit_laws(study, law=form, error_law=law_of(error), method=Method(loss, 1e-3, space))
    evidence = gather(study, fits, how=how, draws=60, kind="auto", seed=0, level=0.95)
    weight = influence(evidence.loss)
    places = Places.of(*np.array(asked, float).reshape(-1, 2).T)
    notes = judge(study, evidence, weight)
    values = findings(study, evidence, weight, asked=places, notes=notes) | {"diagnostics": {}}
    return study, evidence, weight, values | {"explanation": explain(values)}


KINDS = ("law", "chance", "noise", "flat", "line", "rising")
WAYS = (
    ("gadre", "exponential", "lsq", "raw", "wald"),
    ("chinchilla", "sigmoid", "huber", "log", "bootstrap"),
    ("chinchilla-tied", "log-accuracy", "huber", "raw", "profile"),
    ("kaplan", "exponential", "lad", "log", "bootstrap"),
    ("power", "exponential", "lsq", "raw", "profile"),
)
EVERY = [
    pytest.param(kind, *way, marks=() if (first + second) % 4 == 0 and way[2] != "huber" else pytest.mark.slow)
    for first, kind in enumerate(KINDS)
    for second, way in enumerate(WAYS)
]


@pytest.mark.parametrize(("kind", "law", "error", "loss", "space", "how"), EVERY)
def test_any_table_ends_in_numbers_or_in_a_sentence(kind, law, error, loss, space, how):
    for seed in range(2):
        table_ = columns(kind, np.random.default_rng(seed))
        roles = Roles(target=f"N > {np.sort(table_['N'])[-2]}", downstream=("err",))
        try:
            study, evidence, weight, values = study_of(
                table_, roles, law=law, error=error, loss=loss, space=space, how=how, asked=[(1e9, 1e10)]
            )
        except InputError:
            continue
        assert json.dumps(values, allow_nan=False)
        assert tell(values, words=True)["law"]
        rows = table(study, evidence)
        assert len(rows) == len(table_["N"])
        drawn = picture(study, evidence, weight)
        image = svg(drawn)
        assert image.startswith("<?xml")
        assert page(values, rows, image).startswith("<!doctype html>")
    assert png(drawn)[:4] == b"\x89PNG"


def test_a_target_among_the_fitted_runs_and_far_extrapolation_are_told():
    table_ = columns("law", np.random.default_rng(0))
    notes = study_of(table_, Roles(fit="N > 0", target="N > 1e8"), asked=[(1e13, 1e15)])[3]
    assert any("among the fitted runs" in text for text in notes["warnings"])
    assert any("by decades" in text for text in notes["warnings"])
    assert notes["extrapolation"]["N"] > 4


def test_a_truth_outside_its_interval_is_told():
    table_ = columns("law", np.random.default_rng(0))
    last = int(np.argmax(table_["N"]))
    table_["loss"][last] *= 1.2
    found = study_of(table_, Roles(target=f"name == 'r{last}'"))[3]
    assert found["targets"][0]["inside"] is False
    assert any("outside" in text for text in found["warnings"])


def test_losses_that_rise_with_size_lose_their_meaning_aloud():
    found = study_of(columns("rising", np.random.default_rng(1)), Roles())[3]
    assert any("not positive" in text for text in found["warnings"])


def test_a_badly_trained_run_is_told_with_what_it_changes():
    table_ = columns("law", np.random.default_rng(3))
    table_["loss"] *= np.exp(0.002 * np.random.default_rng(0).standard_normal(len(table_["loss"])))
    table_["loss"][4] *= 1.1
    found = study_of(table_, Roles(), law="chinchilla-tied")[3]
    assert any("r4 (+" in text and "without them" in text for text in found["warnings"])
    assert found["influence"][0]["name"] == "r4"
    assert found["influence"][0]["outlier"] is True


def test_checkpoints_of_a_run_are_told_unless_they_are_clustered():
    table_ = columns("noise", np.random.default_rng(3))
    table_["name"] = np.array([f"r{at // 3}" for at in range(len(table_["N"]))], dtype=object)
    assert any("--cluster" in text for text in study_of(table_, Roles())[3]["warnings"])
    clustered = study_of(table_, Roles(cluster="name"))[3]
    assert not any("--cluster" in text for text in clustered["warnings"])
    assert clustered["bootstrap"]["kind"] == "cluster"


def test_a_law_of_compute_alone_warns_of_several_multipliers():
    roles = Roles(downstream=("err",))
    found = study_of(columns("law", np.random.default_rng(0)), roles, error="log-accuracy")[3]
    assert any("one number of tokens a parameter" in text for text in found["warnings"])


def test_one_multiplier_everywhere_tells_no_law_of_two_variables():
    """N and D in step: any split of the curve into two terms fits, and what such a fit says elsewhere is chance."""
    size = np.geomspace(1e7, 1e9, 12)
    loss = 1.8 + 480 * size**-0.35 + 2100 * (20 * size) ** -0.37
    for tokens, what in ((20 * size, "M is 20 in all"), (size**1.5 / 1e3, r"D goes as N\^1.5 in all")):
        for law in ("gadre", "chinchilla", "chinchilla-tied", "kaplan"):
            with pytest.raises(InputError, match=what):
                arrange({"N": size, "D": tokens, "loss": loss}, Roles(), law=law_of(law), loss=None)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(12))
    loss = loss * np.exp(0.003 * np.random.default_rng(1).standard_normal(12))
    found = study_of({"N": size, "D": 20 * size * noise, "loss": loss}, Roles(), law="chinchilla")[3]
    assert any("D goes as N in the fitted runs, to 0." in text for text in found["warnings"])
    assert not any(
        "in the fitted runs, to" in text
        for text in study_of(columns("noise", np.random.default_rng(0)), Roles())[3]["warnings"]
    )
    twice, near = np.tile(size, 2), np.repeat([20.0, 26.0], 12)
    loss = 1.8 + 480 * twice**-0.35 + 2100 * (near * twice) ** -0.37
    loss *= np.exp(1e-5 * np.random.default_rng(1).standard_normal(24))  # two multipliers, but hardly any noise
    fine = study_of({"N": twice, "D": near * twice, "loss": loss}, Roles(), law="chinchilla")[3]
    assert not any("in the fitted runs, to" in text for text in fine["warnings"])
    power = study_of({"N": size, "D": 20 * size, "loss": loss[:12]}, Roles(), law="power")[3]
    assert power["params"]["alpha"] > 0


def test_a_power_of_compute_warns_of_several_multipliers_and_of_compute_of_another_kind():
    table_ = columns("noise", np.random.default_rng(0))
    told = study_of(table_, Roles(), law="power")[3]["warnings"]
    assert any("one number of tokens a parameter" in text for text in told)
    table_ |= {"C": 8 * table_["N"] * table_["D"], "M": 2 * table_["D"] / table_["N"]}
    told = study_of(table_, Roles(), law="power")[3]["warnings"]
    assert any(text.startswith("C is not 6 N D in") and "ask it by C" in text for text in told)
    assert any(text.startswith("M is not D / N in") for text in study_of(table_, Roles())[3]["warnings"])


@pytest.mark.parametrize(("error", "sign"), [("sigmoid", 1), ("sigmoid", -1), ("exponential", 1), ("exponential", -1)])
def test_only_a_downstream_law_that_runs_backwards_has_lost_its_meaning(error, sign):
    table_ = columns("law", np.random.default_rng(0))
    low = np.exp(-table_["loss"])
    table_["err"] = 0.5 - sign * (0.4 * low + 1e-3 * np.random.default_rng(1).standard_normal(low.size))
    told = study_of(table_, Roles(downstream=("err",)), error=error)[3]["warnings"]
    assert any("has lost its meaning" in text for text in told) == (sign < 0), told


def test_the_mean_of_several_errors_is_their_mean():
    table_ = columns("law", np.random.default_rng(0))
    table_["err_b"] = table_["err"] * 0.5
    study = arrange(table_, Roles(downstream=("err", "err_b")), law=law_of("gadre"), loss=None)
    np.testing.assert_allclose(study.errors.value, 0.75 * table_["err"])
    assert study.error == "mean of 2 errors"


def test_a_law_of_compute_needs_no_sizes():
    generator = np.random.default_rng(0)
    flops = np.geomspace(1e17, 1e22, 12)
    table_ = {"C": flops, "loss": 1.6 + 250 * flops**-0.11 * np.exp(0.001 * generator.standard_normal(12))}
    study, evidence, weight, values = study_of(table_, Roles(target="C > 1e21"), law="power")
    assert values["params"]["alpha"] == pytest.approx(0.11, abs=0.01)
    assert values["targets"][0]["N"] is None
    assert values["extrapolation"].keys() == {"C"}
    assert svg(picture(study, evidence, weight)).startswith("<?xml")
    with pytest.raises(InputError, match="no column 'N'"):
        arrange(table_, Roles(), law=law_of("gadre"), loss=None)
