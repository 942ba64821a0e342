"""What single runs do to a fit, how sizes predict one another, how laws compare, which tasks can be predicted."""

import numpy as np
import pytest
from scaling_runs import LEVEL, fit_rows, fit_to, grid, places

from vlmkit.core.errors import InputError
from vlmkit.core.scaling import tasks
from vlmkit.core.scaling.checks import leave_one_size_out, rollout
from vlmkit.core.scaling.compare import aicc, compare, leave_one_out, log_likelihood
from vlmkit.core.scaling.curves import Problem
from vlmkit.core.scaling.fitting import published
from vlmkit.core.scaling.influence import influence
from vlmkit.core.scaling.laws import CHINCHILLA, GADRE, KAPLAN, POWER, law_of
from vlmkit.core.scaling.wald import intervals, quantile


def test_a_size_is_not_predicted_from_runs_that_leave_an_exponent_open():
    """The first two sizes cannot tell E from the term in N: a prediction from them would be chance."""
    size = np.repeat(np.geomspace(1e7, 1e9, 5), 4)
    tokens = size * np.tile([5.0, 20.0, 80.0, 320.0], 5)
    y = 1.8 + 480 * size**-0.35 + 2100 * tokens**-0.37
    law = fit_to(CHINCHILLA, size, tokens, y * np.exp(1e-3 * np.random.default_rng(0).standard_normal(20)), space="log")
    assert [step.n_fit for step in rollout(law, level=LEVEL)] == [12, 16]


def test_the_five_outliers_of_the_chinchilla_data_are_flagged_unasked(epoch):
    for loss, space in (("huber", "log"), ("lsq", "raw"), ("lsq", "log")):
        law = fit_rows(epoch, epoch["loss"] > 0, law=CHINCHILLA, column="loss", loss=loss, space=space)
        found = influence(law)
        assert found.outlier[epoch["excluded_by_epoch"]].all()
        assert found.outlier.sum() <= 12  # three under-trained runs beside them, and two or three more, lie off as well
        assert set(np.argsort(-found.deviation)[:5]) == set(np.flatnonzero(epoch["excluded_by_epoch"]))
    law = fit_rows(epoch, epoch["loss"] > 0, law=CHINCHILLA, column="loss", loss="huber", space="log")
    assert law.values["beta"] == pytest.approx(0.453, abs=1e-3)
    assert influence(law).without["beta"] == pytest.approx(0.358, abs=5e-3)


def test_an_outlier_is_found_and_clean_runs_are_left_alone():
    size, tokens, y = grid(0.003, np.random.default_rng(0), points=40)
    assert not influence(fit_to(CHINCHILLA, size, tokens, y)).outlier.any()
    y[[3, 17]] *= (1.08, 1.05)
    found = influence(fit_to(CHINCHILLA, size, tokens, y, space="log"))
    assert np.flatnonzero(found.outlier).tolist() == [3, 17]
    truth = fit_to(CHINCHILLA, np.delete(size, [3, 17]), np.delete(tokens, [3, 17]), np.delete(y, [3, 17]), space="log")
    assert found.without["alpha"] == pytest.approx(truth.values["alpha"], rel=1e-6)
    exact, noiseless = grid(0.0, np.random.default_rng(0), points=40)[2], grid(0.0, np.random.default_rng(0), points=40)
    assert not influence(fit_to(CHINCHILLA, noiseless[0], noiseless[1], exact.round(5))).outlier.any()


def test_shifts_are_those_of_fits_without_each_run():
    size, tokens, y = grid(0.01, np.random.default_rng(1))
    law = fit_to(CHINCHILLA, size, tokens, y, space="log")
    found, errors = influence(law), intervals(law, level=LEVEL)
    for left in (0, 11, 23):
        rest = np.arange(24) != left
        alone = fit_to(CHINCHILLA, size[rest], tokens[rest], y[rest], space="log").values
        for name in ("E", "alpha"):
            error = (errors[name][1] - errors[name][0]) / 2 / quantile(LEVEL, law.dof)
            assert found.shifts[name][left] == pytest.approx((alone[name] - law.values[name]) / error, abs=1e-3)


def test_small_sizes_predict_the_next_and_the_others_each(gadre):
    rows = (gadre["dataset"] == "rpj") & (gadre["M"] >= 20)
    law = fit_rows(gadre, rows)
    steps = rollout(law, level=LEVEL)
    assert [round(step.size / 1e6) for step in steps] == [154, 412, 1440, 6889]
    assert steps[-1].n_fit == 26
    below = rows & (gadre["N"] < 5e9)
    at = rows & (gadre["N"] > 5e9)
    alone = fit_rows(gadre, below).at(places(GADRE, gadre["N"][at], gadre["D"][at]))
    assert steps[-1].bias == pytest.approx(float(alone[0] / gadre["loss_c4_val"][at][0] - 1), rel=1e-9)
    left = leave_one_size_out(law, level=LEVEL)
    assert len(left) == 6
    assert sum(check.n for check in left) == law.n


def test_the_true_law_wins_the_comparison():
    generator = np.random.default_rng(0)
    size, tokens, _ = grid(0.0, generator, points=48)
    for truth, params in (
        (CHINCHILLA, {"E": 1.8, "A": 480.0, "B": 2e4, "alpha": 0.35, "beta": 0.5}),
        (KAPLAN, {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}),
    ):
        y = published(truth, params).at(places(truth, size, tokens))
        y = y * np.exp(0.002 * generator.standard_normal(48))
        fits = [fit_to(law, size, tokens, y, space="log") for law in (GADRE, CHINCHILLA, KAPLAN, POWER)]
        found = compare(fits, level=LEVEL)
        assert found[0]["law"] == truth.name
        assert found[0]["aicc_difference"] == 0
        assert found[-1]["loo_worse_by"] > 2
        assert [row["loo_rms"] for row in found] == sorted(row["loo_rms"] for row in found)
    with pytest.raises(InputError, match="nothing to be compared"):
        compare(fits[:1], level=LEVEL)


def test_leave_one_out_is_exact():
    size, tokens, y = grid(0.01, np.random.default_rng(1))
    law = fit_to(GADRE, size, tokens, y)
    found = leave_one_out(law)
    for left in (0, 9, 23):
        rest = law.order[np.arange(24) != left]
        alone = fit_to(GADRE, size[rest], tokens[rest], y[rest])
        here = law.order[left]
        missed = alone.at(places(GADRE, size[[here]], tokens[[here]]))[0] - y[here]
        assert found[left] == pytest.approx(missed, rel=1e-5)


def test_likelihoods_join_at_their_limits():
    """Huber's density is the normal one for a wide delta, and Laplace's for a narrow one; AICc is statsmodels'."""
    import statsmodels.api as sm

    r = np.random.default_rng(0).standard_normal(50)
    nothing = np.zeros((1, 50))

    def of(loss, delta):
        return log_likelihood(Problem(law_of("power"), nothing, r, loss, delta), r)

    assert of("huber", 100.0) == pytest.approx(of("lsq", 1), rel=1e-4)
    assert of("huber", 1e-3) == pytest.approx(of("lad", 1), rel=1e-3)
    x = np.linspace(0, 1, 50)
    line = sm.OLS(3 + 2 * x + 0.1 * r, sm.add_constant(x)).fit()
    assert log_likelihood(Problem(law_of("power"), nothing, r, "lsq"), line.resid) == pytest.approx(line.llf)
    size, tokens, y = grid(0.01, np.random.default_rng(1))
    law = fit_to(GADRE, size, tokens, y)
    k, n = 5, 24
    expected = -2 * log_likelihood(law.problem, law.residuals) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    assert aicc(law) == pytest.approx(expected)


def test_the_rule_picks_the_seventeen_tasks_of_the_paper(gadre, shared):
    import pyarrow.csv as csv

    table = csv.read_csv(shared("scaling") / "tasks.csv").to_pylist()
    at = (gadre["N"] > 1.5e8) & (gadre["N"] < 1.6e8)
    errors = {row["task"]: gadre[f"err_{row['task']}"][at] for row in table}
    chance = {row["task"]: row["random_accuracy"] for row in table}
    found = tasks.choose(errors, chance, gadre["name"][at], margin=0.10)
    assert {task.name for task in found if task.chosen} == {row["task"] for row in table if row["in_avg17"]}
    assert sum(task.chosen for task in found) == 17
