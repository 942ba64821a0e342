"""The fits against published numbers, exact answers and invariances."""

from pathlib import Path

import numpy as np
import pytest

from vlmkit.core.io.runs import read_runs
from vlmkit.core.scaling.fitting import chain, fit, from_json, intervals, optimum, predict, to_json
from vlmkit.core.scaling.laws import CHINCHILLA, DOWNSTREAM, GADRE, TIED, variables

DATA = Path(__file__).parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the project's shared data are not here")
LEVEL = 0.95


@pytest.fixture(scope="module")
def gadre():
    return read_runs([DATA / "scaling" / "gadre_c4_rpj.parquet"])


@pytest.fixture(scope="module")
def epoch():
    return read_runs([DATA / "chinchilla" / "chinchilla_245.parquet"])


def five(table, dataset):
    """Table 2 of Gadre et al.: the runs of the loss law."""
    N, M = table["N"], table["M"]
    return (table["dataset"] == dataset) & (((M == 20) & (N < 1e9)) | ((M == 320) & (N < 2e7)))


def six(table, dataset):
    """Those of the downstream law."""
    return five(table, dataset) | ((table["dataset"] == dataset) & (table["M"] == 20) & (table["N"] < 2e9))


def fit_rows(table, rows, law=GADRE, column="loss_c4_val", loss="lsq", delta=1e-3, space="raw"):
    return fit(
        law, variables(table["N"][rows], table["D"][rows]), table[column][rows], loss=loss, delta=delta, space=space
    )


def row(table, dataset, size, multiplier):
    found = (table["dataset"] == dataset) & (np.abs(table["N"] / size - 1) < 0.05) & (table["M"] == multiplier)
    assert found.sum() == 1
    return found


TARGETS = [  # dataset, N, M, error of the loss and of the 17-task error in percent (specs/fit-scaling.md, 3.1)
    ("rpj", 1.44e9, 640, 0.7103, 3.6365),
    ("rpj", 6.89e9, 20, 0.7320, 0.0464),
    ("c4", 1.44e9, 80, 1.4979, 9.5818),
    ("c4", 6.89e9, 20, -4.2952, -0.1370),
]
PARAMETERS = {
    "c4": {"E": 1.50826, "eta": 0.121236, "a": 141.277, "b": 189.516, "eps": 0.84974, "k": 2.07890, "gamma": 0.75612},
    "rpj": {"E": 1.83665, "eta": 0.136425, "a": 212.236, "b": 366.687, "eps": 0.85699, "k": 2.20649, "gamma": 0.71459},
}


@needs_data
@pytest.mark.parametrize(("dataset", "size", "multiplier", "loss_error", "task_error"), TARGETS)
def test_table_2_of_gadre_et_al(gadre, dataset, size, multiplier, loss_error, task_error):
    law = fit_rows(gadre, five(gadre, dataset))
    downstream = fit(
        DOWNSTREAM,
        gadre["loss_c4_val"][six(gadre, dataset)][None],
        gadre["err_avg17"][six(gadre, dataset)],
        loss="lsq",
        delta=1,
        space="raw",
    )
    at = row(gadre, dataset, size, multiplier)
    x = variables(gadre["N"][at], gadre["D"][at])
    loss, error = predict(law, x, level=LEVEL).value, chain(law, downstream, x, level=LEVEL).value
    assert 100 * (loss / gadre["loss_c4_val"][at] - 1)[0] == pytest.approx(loss_error, abs=0.002)
    assert 100 * (error / gadre["err_avg17"][at] - 1)[0] == pytest.approx(task_error, abs=0.002)
    found = law.values | downstream.values
    for name, value in PARAMETERS[dataset].items():
        assert found[name] == pytest.approx(value, rel=1e-4), name


@needs_data
@pytest.mark.parametrize("dataset", ["c4", "rpj"])
def test_every_column_reaches_the_global_least_squares_optimum(gadre, dataset):
    """An exact solver of its own: a fine scan of the exponent, each point solved by QR, the best refined."""

    def profile(alpha, x, y):
        columns = np.stack([np.ones_like(y), *(np.expm1(-alpha * one) / alpha for one in x)], axis=1)
        return ((y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]) ** 2).sum()

    for rows in (five(gadre, dataset), gadre["dataset"] == dataset):
        for column in [name for name in gadre if name.startswith("loss_") and "95" not in name]:
            law = fit_rows(gadre, rows, column=column)
            x = variables(gadre["N"][rows], gadre["D"][rows])
            x, y = x - x.mean(1, keepdims=True), gadre[column][rows]
            grid = np.geomspace(0.003, 4, 300)
            for _ in range(6):
                values = [profile(alpha, x, y) for alpha in grid]
                best = int(np.argmin(values))
                grid = np.linspace(grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)], 30)
            assert law.rss <= min(values) * (1 + 1e-9) + 1e-15, column
            assert law.certificate.local_minima == 1
            assert not law.certificate.bounds


@needs_data
def test_gadre_and_tied_chinchilla_are_one_law(gadre):
    rows = five(gadre, "rpj")
    one, other = fit_rows(gadre, rows, law=GADRE), fit_rows(gadre, rows, law=TIED)
    x = variables(gadre["N"], gadre["D"])
    assert np.abs(predict(one, x, level=LEVEL).value - predict(other, x, level=LEVEL).value).max() < 1e-9
    found = one.values
    assert found["eta"] == pytest.approx(found["alpha"] / 2, rel=1e-9)
    assert found["a"] == pytest.approx(found["A"] * 6 ** found["eta"], rel=1e-9)
    assert found["b"] == pytest.approx(found["B"] * 6 ** found["eta"], rel=1e-9)
    C, M = 6 * gadre["N"] * gadre["D"], gadre["D"] / gadre["N"]
    law = found["E"] + (found["a"] * M ** found["eta"] + found["b"] * M ** -found["eta"]) * C ** -found["eta"]
    assert np.abs(law - predict(one, x, level=LEVEL).value).max() < 1e-9
    least = found["a"] * found["M_star"] ** found["eta"] + found["b"] * found["M_star"] ** -found["eta"]
    for nearby in (0.99, 1.01):
        M = nearby * found["M_star"]
        assert found["a"] * M ** found["eta"] + found["b"] * M ** -found["eta"] > least


@needs_data
@pytest.mark.parametrize(("law", "loss", "space"), [(GADRE, "lsq", "raw"), (CHINCHILLA, "huber", "log")])
def test_predictions_do_not_depend_on_units_or_on_the_order_of_rows(epoch, law, loss, space):
    rows = ~epoch["excluded_by_epoch"]
    N, D, y = epoch["N"][rows], epoch["D"][rows], epoch["loss"][rows]
    reference = fit(law, variables(N, D), y, loss=loss, delta=1e-3, space=space)
    expected = predict(reference, variables(N, D), level=LEVEL)
    scaled = fit(law, variables(N / 1e6, D / 1e9), y, loss=loss, delta=1e-3, space=space)
    np.testing.assert_allclose(
        predict(scaled, variables(N / 1e6, D / 1e9), level=LEVEL).value, expected.value, rtol=1e-8
    )
    bits = fit(law, variables(N, D), y / np.log(2), loss=loss, delta=1e-3, space=space)
    np.testing.assert_allclose(predict(bits, variables(N, D), level=LEVEL).value * np.log(2), expected.value, rtol=1e-8)
    generator = np.random.default_rng(0)
    for _ in range(10):
        order = generator.permutation(y.size)
        shuffled = fit(law, variables(N[order], D[order]), y[order], loss=loss, delta=1e-3, space=space)
        assert abs(shuffled.objective - reference.objective) < 1e-12
        np.testing.assert_array_equal(shuffled.solution, reference.solution)


EPOCH = [  # specs/fit-scaling.md, 3.2 and acceptance fact 5
    ("huber", 1e-3, "log", {"A": (477.83, 0.05), "B": (2143.4, 0.5), "E": (1.81722, 2e-5),
                             "alpha": (0.34731, 2e-5), "beta": (0.36717, 3e-5)}),
    ("huber", 1e-4, "log", {"A": (478.69, 0.05), "B": (2065.41, 0.5), "E": (1.815824, 2e-5)}),
    ("huber", 1e-2, "log", {"A": (538.75, 0.05), "B": (2905.60, 0.5), "E": (1.838079, 2e-5)}),
    ("lsq", 1e-3, "log", {"A": (593.32, 0.05), "B": (4875.64, 0.5), "E": (1.864550, 2e-5)}),
    ("lad", 1e-3, "log", {"A": (482.01, 0.05), "B": (2085.4, 0.5), "E": (1.81686, 2e-5),
                           "alpha": (0.347813, 2e-5), "beta": (0.365854, 3e-5)}),
    ("lsq", 1e-3, "raw", {"A": (567.81, 0.05), "B": (7581.85, 0.5), "E": (1.882814, 2e-5)}),
]  # fmt: skip


@needs_data
@pytest.mark.parametrize(("loss", "delta", "space", "expected"), EPOCH)
def test_refits_of_chinchilla(epoch, loss, delta, space, expected):
    rows = epoch["loss"] < np.sort(epoch["loss"])[-5]  # strictly below the fifth largest loss
    assert rows.sum() == 240
    assert (rows == ~epoch["excluded_by_epoch"]).all()
    law = fit_rows(epoch, rows, law=CHINCHILLA, column="loss", loss=loss, delta=delta, space=space)
    for name, (value, tolerance) in expected.items():
        assert law.values[name] == pytest.approx(value, abs=tolerance), name
    if (loss, delta) == ("huber", 1e-3):
        assert law.objective <= 1.01827403e-3
    if space == "raw":
        assert law.rss <= 0.08320381


@needs_data
def test_five_outliers_move_beta(epoch):
    law = fit_rows(epoch, epoch["loss"] > 0, law=CHINCHILLA, column="loss", loss="huber", space="log")
    assert law.n == 245
    assert law.values["beta"] == pytest.approx(0.45305, abs=3e-4)


@needs_data
def test_compute_optimal_sizes(epoch):
    law = fit_rows(epoch, ~epoch["excluded_by_epoch"], law=CHINCHILLA, column="loss", loss="huber", space="log")
    size, tokens = optimum(law, 1e21)
    assert size == pytest.approx(2.7917e9, rel=1e-3)
    assert tokens == pytest.approx(5.970e10, rel=1e-3)
    assert law.values["a_opt"] == pytest.approx(0.51390, abs=3e-4)
    size, tokens = optimum(law, 5.76e23)
    assert tokens / size == pytest.approx(17.92, abs=0.05)


@needs_data
def test_least_absolute_residuals_satisfy_the_condition_of_optimality(epoch):
    """At the optimum the signs of the other residuals are balanced by weights in [-1, 1] on the vanishing ones."""
    from vlmkit.core.scaling.solver import Problem, curve, residuals

    rows = ~epoch["excluded_by_epoch"]
    law = fit_rows(epoch, rows, law=CHINCHILLA, column="loss", loss="lad", space="log")
    x = variables(epoch["N"][rows], epoch["D"][rows]) - law.centre[:, None]
    problem = Problem(CHINCHILLA, x, epoch["loss"][rows], "lad", 1e-3, "log")
    value, slope, _ = curve(problem, law.solution)
    r, jacobian = residuals(problem, law.solution), (slope / value).T
    touched = np.argsort(np.abs(r))[:5]
    assert np.abs(r[touched]).max() < 1e-12
    others = np.setdiff1d(np.arange(r.size), touched)
    weights = np.linalg.solve(jacobian[touched].T, -jacobian[others].T @ np.sign(r[others]))
    assert np.abs(weights).max() <= 1


@needs_data
def test_honest_intervals(gadre):
    def half(law, at):
        found = predict(law, variables(gadre["N"][at], gadre["D"][at]), level=LEVEL)
        return float(found.value[0]), float(found.high[0] - found.low[0]) / 2

    at = row(gadre, "rpj", 6.89e9, 20)
    law = fit_rows(gadre, five(gadre, "rpj"))
    assert law.dof == 1
    assert half(law, at)[1] == pytest.approx(1.06, rel=0.05)
    many = (gadre["N"] < 1e9) & (gadre["M"] >= 20)
    law = fit_rows(gadre, many & (gadre["dataset"] == "rpj"))
    assert law.n == 24
    value, reach = half(law, at)
    assert reach == pytest.approx(0.107, rel=0.05)
    assert abs(value - gadre["loss_c4_val"][at][0]) < reach
    law = fit_rows(gadre, many & (gadre["dataset"] == "c4"))
    assert law.n == 23
    at = row(gadre, "c4", 6.89e9, 20)
    value, reach = half(law, at)
    assert value == pytest.approx(2.2115, abs=1e-3)
    assert reach == pytest.approx(0.126, rel=0.05)
    assert abs(value - gadre["loss_c4_val"][at][0]) > reach


@needs_data
def test_standard_errors_come_near_the_published_bootstrap(epoch):
    law = fit_rows(epoch, ~epoch["excluded_by_epoch"], law=CHINCHILLA, column="loss", loss="huber", space="log")
    found = intervals(law, level=LEVEL)
    for name, (low, high) in {"E": (1.769, 1.871), "alpha": (0.317, 0.373), "beta": (0.331, 0.415)}.items():
        assert found[name][1] - found[name][0] == pytest.approx(high - low, rel=0.25), name


def grid(noise, generator, points=24):
    """Runs of a known law: L = 1.8 + 480 N^-0.35 + 2100 D^-0.37."""
    size = np.tile(np.geomspace(1e7, 1e9, points // 4), 4)
    tokens = size * np.repeat([5.0, 20.0, 80.0, 320.0], points // 4)
    loss = 1.8 + 480 * size**-0.35 + 2100 * tokens**-0.37
    return size, tokens, loss * np.exp(noise * generator.standard_normal(size.size))


@pytest.mark.parametrize(("loss", "space"), [("lsq", "raw"), ("huber", "log"), ("lad", "log"), ("lsq", "log")])
def test_data_without_noise_give_the_law_back(loss, space):
    size, tokens, y = grid(0.0, np.random.default_rng(0))
    law = fit(CHINCHILLA, variables(size, tokens), y, loss=loss, delta=1e-3, space=space)
    for name, value in {"E": 1.8, "A": 480, "B": 2100, "alpha": 0.35, "beta": 0.37}.items():
        assert law.values[name] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize(("loss", "space"), [("lsq", "raw"), ("huber", "log")])
def test_intervals_cover_the_truth_as_often_as_they_say(loss, space):
    generator = np.random.default_rng(1)
    truth = {"E": 1.8, "alpha": 0.35, "beta": 0.37}
    inside = dict.fromkeys(truth, 0)
    trials = 120
    for _ in range(trials):
        size, tokens, y = grid(0.003, generator)
        law = fit(CHINCHILLA, variables(size, tokens), y, loss=loss, delta=1e-3, space=space)
        found = intervals(law, level=LEVEL)
        for name, value in truth.items():
            inside[name] += found[name][0] <= value <= found[name][1]
    for name, count in inside.items():
        assert 0.88 <= count / trials <= 1.0, (name, count / trials)


def test_prediction_intervals_cover_a_new_run():
    generator = np.random.default_rng(2)
    inside, trials = 0, 150
    x = variables(np.array([7e9]), np.array([1.4e11]))
    truth = 1.8 + 480 * 7e9**-0.35 + 2100 * 1.4e11**-0.37
    for _ in range(trials):
        size, tokens, y = grid(0.005, generator)
        found = predict(fit(CHINCHILLA, variables(size, tokens), y, loss="lsq", delta=1, space="log"), x, level=0.8)
        inside += found.low[0] <= truth * np.exp(0.005 * generator.standard_normal()) <= found.high[0]
    assert 0.7 <= inside / trials <= 0.9


def test_as_many_points_as_parameters_have_no_interval():
    size, tokens, y = grid(0.001, np.random.default_rng(3))
    law = fit(GADRE, variables(size[:20:5], tokens[:20:5]), y[:20:5], loss="lsq", delta=1, space="raw")
    assert law.dof == 0
    assert set(intervals(law, level=LEVEL).values()) == {None}
    assert np.isnan(predict(law, variables(size, tokens), level=LEVEL).low).all()


def test_a_fit_survives_json():
    import json

    size, tokens, y = grid(0.01, np.random.default_rng(4))
    law = fit(CHINCHILLA, variables(size, tokens), y, loss="huber", delta=1e-3, space="log")
    back = from_json(json.loads(json.dumps(to_json(law))))
    x = variables(size, tokens)
    np.testing.assert_array_equal(predict(back, x, level=LEVEL).high, predict(law, x, level=LEVEL).high)


def test_one_fit_takes_less_than_a_tenth_of_a_second():
    import time

    size, tokens, y = grid(0.003, np.random.default_rng(5), points=240)
    took = []
    for _ in range(5):
        start = time.process_time()
        fit(CHINCHILLA, variables(size, tokens), y, loss="huber", delta=1e-3, space="log")
        took.append(time.process_time() - start)
    assert min(took) < 0.1
