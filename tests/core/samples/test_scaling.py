"""Simulated training runs: the published laws come back out of them, and the truth beside them is the truth."""

import numpy as np
import pytest
from scipy.optimize import least_squares, minimize_scalar

from vlmkit.core.samples import scaling
from vlmkit.core.samples.scaling import CHINCHILLA, ERRORS, LOSSES, NOISE, PROFILE_NOISE, SIZES, TASKS

SEEDS = range(8)


def columns(rows, *names):
    return [np.array([row[name] for row in rows]) for name in names]


def true_loss(row):
    return float(scaling.run_loss(LOSSES[row["dataset"]], np.array(row["N"]), np.array(row["D"])))


def surprise(row):
    return np.log(row["loss_heldout"] / true_loss(row))


@pytest.mark.parametrize(
    ("dataset", "label", "multiplier", "loss", "error"),
    [
        ("web", "7b", 20, 2.27990, 0.4789),
        ("web", "1b", 80, 2.50945, 0.5380),
        ("books", "7b", 20, 2.44275, 0.4719),
        ("books", "1b", 640, 2.51983, 0.4925),
    ],
)
def test_the_laws_predict_what_the_paper_predicts(dataset, label, multiplier, loss, error):
    size = np.array(float(SIZES[label]))
    found = scaling.run_loss(LOSSES[dataset], size, multiplier * size)
    assert found == pytest.approx(loss, abs=1e-4)  # the paper's parameters have six digits
    assert scaling.task_error(ERRORS[dataset], found) == pytest.approx(error, abs=1e-4)


@pytest.mark.parametrize("dataset", LOSSES)
def test_the_law_of_the_runs_comes_back_from_losses_without_noise(dataset):
    size, tokens = np.array([(run.N, run.D) for run in scaling.grid(dataset)]).T
    loss = scaling.run_loss(LOSSES[dataset], size, tokens)

    def solved(eta):  # for a fixed exponent the law is linear: L = E + A N^(-2 eta) + B D^(-2 eta)
        terms = np.stack([np.ones_like(size), (size / 1e8) ** (-2 * eta), (tokens / 1e10) ** (-2 * eta)], axis=1)
        return np.linalg.lstsq(terms, loss, rcond=None)[0], terms

    def misfit(eta):
        found, terms = solved(eta)
        return float(np.sum((terms @ found - loss) ** 2))

    eta = minimize_scalar(misfit, bounds=(0.05, 0.4), method="bounded", options={"xatol": 1e-10}).x
    constant, first, second = solved(eta)[0]
    found = {
        "E": constant,
        "eta": eta,
        "a": first * 1e8 ** (2 * eta) * 6**eta,
        "b": second * 1e10 ** (2 * eta) * 6**eta,
    }
    assert found == pytest.approx(LOSSES[dataset], rel=1e-5)


def test_the_law_of_the_profiles_comes_back_from_losses_without_noise():
    size, tokens = columns(scaling.simulate_profiles(0).rows, "params", "tokens")
    loss = scaling.profile_loss(CHINCHILLA, size, tokens)

    def residuals(p):  # centred, so that the exponents and their factors are told apart
        return np.exp(p[0]) + np.exp(p[1]) * (size / 1e9) ** -p[2] + np.exp(p[3]) * (tokens / 1e10) ** -p[4] - loss

    e, first, alpha, second, beta = least_squares(residuals, [0.5, -1, 0.3, -1, 0.3], xtol=1e-15, ftol=1e-15).x
    found = {"E": np.exp(e), "A": np.exp(first) * 1e9**alpha, "B": np.exp(second) * 1e10**beta}
    assert {**found, "alpha": alpha, "beta": beta} == pytest.approx(CHINCHILLA, rel=1e-5)


def test_losses_scatter_as_much_as_declared():
    simulated = [scaling.simulate_runs(seed) for seed in SEEDS]
    found = [surprise(row) for one in simulated for row in one.rows if row["name"] not in one.excess]
    assert np.std(found) == pytest.approx(NOISE, rel=0.12)  # four standard errors of 616 draws
    assert abs(np.mean(found)) < 4 * NOISE / np.sqrt(len(found))
    profiles = scaling.simulate_profiles(0)
    size, tokens, loss = columns(profiles.rows[27:], "params", "tokens", "final_loss")  # the other budgets
    found = np.log(loss / scaling.profile_loss(CHINCHILLA, size, tokens))
    assert np.std(found) == pytest.approx(PROFILE_NOISE, rel=0.2)  # of 213 draws


def test_seeds_of_one_run_differ_by_noise_alone():
    rows = [row for row in scaling.simulate_runs(0).rows if row["name"].startswith("web-11m-m20-s")]
    assert [row["seed"] for row in rows] == [0, 1, 2]
    assert len({row["D"] for row in rows}) == 1
    assert 0 < np.ptp([row["loss_heldout"] for row in rows]) < 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_outliers_are_the_runs_that_the_truth_names(seed):
    runs = scaling.simulate_runs(seed)
    assert sorted(name.partition("-")[0] for name in runs.excess) == ["books", "web", "web"]
    for row in runs.rows:
        excess = runs.excess.get(row["name"], 0.0)
        assert excess == 0 or (0.05 <= excess <= 0.20 and row["N"] < 1e9)
        assert abs(surprise(row) - np.log1p(excess)) < 5 * NOISE


@pytest.mark.parametrize("seed", SEEDS)
def test_the_highest_losses_of_the_profiles_are_the_under_trained_runs(seed):
    profiles = scaling.simulate_profiles(seed)
    highest = sorted(profiles.rows, key=lambda row: row["final_loss"])[-5:]
    assert {row["name"] for row in highest} == set(profiles.excess)
    assert all(row["tokens"] < 1.6 * row["params"] for row in highest)


def test_profiles_surround_the_best_size_of_nine_budgets():
    size, tokens, flops = columns(scaling.simulate_profiles(0).rows, "params", "tokens", "flops")
    assert len(size) == 240
    np.testing.assert_allclose(6.0 * size * tokens, flops, rtol=1e-6)  # both are whole numbers
    for budget in np.unique(flops):
        best = scaling.optimum(budget)
        around = size[flops == budget] / best["N"]
        assert (around.min(), around.max()) == pytest.approx((1 / 8, 8), rel=1e-6)
        on_curve = scaling.profile_loss(CHINCHILLA, best["N"] * around, budget / (6 * best["N"] * around))
        assert best["loss"] <= on_curve.min() + 1e-12  # rounding: the middle of a profile is the best size


def test_the_best_size_grows_with_compute_as_published():
    small, large = (scaling.optimum(flops)["N"] for flops in (1e21, 1e24))
    assert np.log(large / small) / np.log(1e3) == pytest.approx(0.5126, abs=1e-4)  # Besiroglu et al.: a_opt


@pytest.mark.parametrize("dataset", LOSSES)
def test_the_mean_of_the_tasks_follows_its_law(dataset):
    loss = np.linspace(2.2, 6.5, 50)
    tasks = [scaling.task_error(law, loss) for law in scaling.error_laws(dataset).values()]
    np.testing.assert_allclose(np.mean(tasks, axis=0), scaling.task_error(scaling.mean_law(dataset), loss), atol=1e-3)
    learning = [error for error, task in zip(tasks, TASKS.values(), strict=True) if task.stretch > 0.5]
    np.testing.assert_allclose(np.mean(learning, axis=0), scaling.task_error(ERRORS[dataset], loss), atol=1e-3)


def test_errors_are_counts_of_questions_around_their_laws():
    rows = scaling.simulate_runs(0).rows
    deviations = []
    for dataset in LOSSES:
        here = [row for row in rows if row["dataset"] == dataset]
        (loss,) = columns(here, "loss_heldout")
        for (name, law), task in zip(scaling.error_laws(dataset).items(), TASKS.values(), strict=True):
            (found,) = columns(here, name)
            np.testing.assert_allclose(found * task.questions, np.rint(found * task.questions), atol=1e-6)
            true = scaling.task_error(law, loss)
            deviations.append((found - true) / np.sqrt(true * (1 - true) / task.questions))
    assert np.std(deviations) == pytest.approx(1, abs=0.1)  # four standard errors of 800 draws
    for row in rows:
        assert row["err_avg"] == pytest.approx(np.mean([row[f"err_{name}"] for name in TASKS]))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rule_of_ten_points_above_chance_finds_the_tasks_that_learn(seed):
    rows = scaling.simulate_runs(seed).rows
    for name, task in TASKS.items():
        above = {row["name"]: 1 - row[f"err_{name}"] - task.chance for row in rows}
        medium = [gain for name, gain in above.items() if "-154m-" in name]
        assert (max(medium) > 0.1) == (task.stretch > 0.5)
        assert task.stretch > 0.5 or max(above.values()) < 0.1


def test_a_seed_decides_the_table():
    for simulate in (scaling.simulate_runs, scaling.simulate_profiles):
        assert simulate(3) == simulate(3)
        assert simulate(3).rows != simulate(4).rows
    names = [row["name"] for row in (*scaling.simulate_runs(3).rows, *scaling.simulate_profiles(3).rows)]
    assert len(set(names)) == len(names)
