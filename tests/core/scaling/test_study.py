"""A study of odd data ends in numbers or in a sentence, never in a fault; and its account is honest."""

import json

import numpy as np
import pytest

from vlmkit.core.errors import InputError
from vlmkit.core.scaling.figure import svg
from vlmkit.core.scaling.narrative import tell
from vlmkit.core.scaling.study import Roles, arrange, findings, fit_laws, picture, table


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


@pytest.mark.parametrize("kind", ["law", "chance", "noise", "flat", "line", "rising"])
@pytest.mark.parametrize(
    ("law", "loss", "space"),
    [("gadre", "lsq", "raw"), ("chinchilla", "huber", "log"), ("chinchilla-tied", "lad", "raw")],
)
def test_any_table_ends_in_numbers_or_in_a_sentence(kind, law, loss, space):
    for seed in range(2):
        table_ = columns(kind, np.random.default_rng(seed))
        roles = Roles(target=f"N > {np.sort(table_['N'])[-2]}", downstream="err")
        try:
            study = arrange(table_, roles, law=law, loss=None)
            fits = fit_laws(study, law=law, loss=loss, delta=1e-3, space=space)
        except InputError:
            continue
        values = findings(study, fits, level=0.95, asked=[(1e9, 1e10)])
        assert json.dumps(values, allow_nan=False)
        assert tell(values)["law"]
        assert len(table(study, fits, level=0.95)) == len(table_["N"])
    assert svg(picture(study, fits, level=0.95)).startswith("<?xml")


def test_a_target_among_the_fitted_runs_and_far_extrapolation_are_told():
    table_ = columns("law", np.random.default_rng(0))
    study = arrange(table_, Roles(fit="N > 0", target="N > 1e8"), law="gadre", loss=None)
    notes = findings(
        study, fit_laws(study, law="gadre", loss="lsq", delta=1, space="raw"), level=0.95, asked=[(1e13, 1e15)]
    )
    assert any("among the fitted runs" in text for text in notes["warnings"])
    assert any("by decades" in text for text in notes["warnings"])
    assert notes["extrapolation"]["N"] > 4


def test_a_truth_outside_its_interval_is_told():
    table_ = columns("law", np.random.default_rng(0))
    last = int(np.argmax(table_["N"]))
    table_["loss"][last] *= 1.2
    study = arrange(table_, Roles(target=f"name == 'r{last}'"), law="gadre", loss=None)
    found = findings(study, fit_laws(study, law="gadre", loss="lsq", delta=1, space="raw"), level=0.95, asked=[])
    assert found["targets"][0]["inside"] is False
    assert any("outside" in text for text in found["warnings"])


def test_losses_that_rise_with_size_lose_their_meaning_aloud():
    table_ = columns("rising", np.random.default_rng(1))
    study = arrange(table_, Roles(), law="gadre", loss=None)
    found = findings(study, fit_laws(study, law="gadre", loss="lsq", delta=1, space="raw"), level=0.95, asked=[])
    assert any("not positive" in text for text in found["warnings"])
