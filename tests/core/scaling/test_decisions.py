"""Frontiers, plans, approaches and next runs, against published numbers and plain searches."""

from dataclasses import replace

import numpy as np
import pytest
from scaling_runs import LEVEL, TRUTH, fit_to, grid, places

from vlmkit.core.errors import InputError
from vlmkit.core.scaling import approaches, cautions
from vlmkit.core.scaling.bootstrap import draw
from vlmkit.core.scaling.evidence import Evidence, Places
from vlmkit.core.scaling.fitting import fit, published
from vlmkit.core.scaling.frontier import Laws, exponent, frontier_row, laws_of, optimal, optimal_tokens
from vlmkit.core.scaling.laws import CHINCHILLA, EXPONENTIAL, GADRE, KAPLAN, POWER
from vlmkit.core.scaling.next_run import Limits, next_runs
from vlmkit.core.scaling.plan import Terms, decide, loss_for_error, plan, quality, tokens_at
from vlmkit.core.scaling.published import named
from vlmkit.core.scaling.wald import predict

SARDANA = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.336, "beta": 0.283}


@pytest.fixture(scope="module")
def sardana():
    """The law of Sardana et al.'s published example."""
    return Evidence(published(CHINCHILLA, SARDANA))


def test_compute_optimal_sizes(epoch_fit):
    evidence = Evidence(epoch_fit, draws=(draw(epoch_fit, count=500, kind="auto", seed=0),))
    laws = laws_of(evidence)
    row = frontier_row(evidence, laws, 1e21)
    assert row["N"] == pytest.approx(2.7917e9, rel=1e-3)
    assert row["D"] == pytest.approx(5.970e10, rel=1e-3)
    assert row["N_low"] < row["N"] < row["N_high"]
    slope = exponent(evidence, laws, 1e21)
    assert slope.value == pytest.approx(0.51390, abs=3e-4)
    assert slope.low < slope.value < slope.high
    assert frontier_row(evidence, laws, 5.76e23)["M"] == pytest.approx(17.92, abs=0.05)
    far = frontier_row(evidence, laws, 3.8e25)
    assert (far["N"], far["M"]) == pytest.approx((6.3012e11, 15.95), rel=1e-3)


def test_hoffmanns_parameters_ask_for_more_tokens():
    evidence = Evidence(named("hoffmann2022"))
    row = frontier_row(evidence, laws_of(evidence), 5.76e23)
    assert row["M"] == pytest.approx(58.9, abs=0.1)
    assert row["N_low"] is None


@pytest.mark.parametrize("name", ["besiroglu2024", "gadre2024-c4", "kaplan2020"])
def test_no_other_split_of_the_compute_is_better(name):
    laws = laws_of(Evidence(named(name)))
    size, tokens = optimal(laws, 1e22)
    here = laws.loss(size, tokens)
    assert np.exp(size + tokens)[0] * 6 == pytest.approx(1e22, rel=1e-9)
    for shift in (-0.3, -0.01, 0.01, 0.3):
        assert laws.loss(size + shift, tokens - shift)[0] > here[0]
    assert optimal_tokens(laws, size)[0] == pytest.approx(tokens[0], abs=1e-4)


def test_a_law_without_an_optimum_has_none():
    evidence = Evidence(published(CHINCHILLA, SARDANA | {"B": -1.0}))
    assert frontier_row(evidence, laws_of(evidence), 1e21)["N"] is None
    with pytest.raises(InputError, match="no run meets these terms"):
        plan(evidence, Terms(budget=1e21))
    power = Evidence(published(POWER, {"E": 1.6, "A": 250.0, "alpha": 0.11}))
    with pytest.raises(InputError, match="does not tell N from D"):
        laws_of(power)


def test_the_published_plan_of_a_model_that_serves(sardana):
    laws = laws_of(sardana)
    wanted = quality(laws, loss=None, size=13e9, tokens=None)
    assert wanted[0] == pytest.approx(2.04528, abs=1e-5)
    found = plan(sardana, Terms(loss=wanted, served=2e12))
    run, alone, saved = found["plan"], found["training_only"], found["saving"]
    assert run["N"] == pytest.approx(6.97e9, rel=5e-3)
    assert run["D"] == pytest.approx(1.248e12, rel=5e-3)
    assert run["loss"] == pytest.approx(2.04528, abs=1e-5)
    assert (alone["N"], alone["D"]) == pytest.approx((13e9, 5.765e11), rel=1e-3)
    assert run["D"] / alone["D"] == pytest.approx(2.165, rel=5e-3)
    assert saved["fraction"] == pytest.approx(0.1745, abs=5e-4)
    assert saved["cost"] == pytest.approx(1.69e22, rel=5e-3)


def test_a_fixed_total_cost(sardana):
    run = plan(sardana, Terms(budget=1e23, served=1e12))["plan"]
    assert (run["N"], run["D"]) == pytest.approx((1.1122e10, 1.1652e12), rel=1e-3)
    assert run["loss"] == pytest.approx(2.01920, abs=1e-5)
    assert run["cost"] == pytest.approx(1e23, rel=1e-9)
    assert plan(sardana, Terms(budget=1e23, served=1e12))["training_only"]["cost"] == pytest.approx(1e23, rel=1e-6)


def test_nothing_served_is_the_frontier(sardana):
    run, row = plan(sardana, Terms(budget=1e22))["plan"], frontier_row(sardana, laws_of(sardana), 1e22)
    assert (run["N"], run["D"], run["loss"]) == pytest.approx((row["N"], row["D"], row["loss"]), rel=1e-6)
    reached = plan(sardana, Terms(loss=np.array([row["loss"]])))["plan"]
    assert reached["cost"] == pytest.approx(1e22, rel=1e-6)


def test_fixed_and_capped_sizes_against_a_plain_search(sardana):
    laws = laws_of(sardana)
    wanted = np.array([2.05])
    sizes = np.log(np.geomspace(1e9, 1e11, 801))
    tokens = np.array([laws.tokens_for(wanted, np.array([one]))[0] for one in sizes])
    for terms in (
        Terms(loss=wanted, served=5e12, max_size=4e9), Terms(loss=wanted, served=5e12, max_tokens=5e11),
        Terms(loss=wanted, served=1e13, training_price=2.0, serving_price=1.0),
    ):  # fmt: skip
        cost = terms.cost(sizes, tokens)
        cost[(np.exp(sizes) > (terms.max_size or np.inf)) | (np.exp(tokens) > (terms.max_tokens or np.inf))] = np.inf
        size, _ = decide(laws, terms)
        assert np.exp(size[0]) == pytest.approx(np.exp(sizes[cost.argmin()]), rel=1e-2)
    fixed = plan(sardana, Terms(loss=wanted, size=7e9))["plan"]
    assert fixed["N"] == pytest.approx(7e9)
    assert fixed["loss"] == pytest.approx(2.05, abs=1e-6)
    assert plan(sardana, Terms(budget=1e23, tokens=1e12))["plan"]["N"] == pytest.approx(1e23 / 6e12)
    assert plan(sardana, Terms(budget=1e23, max_tokens=5e11))["plan"]["D"] == pytest.approx(5e11, rel=1e-6)
    with pytest.raises(InputError, match="no run meets"):
        plan(sardana, Terms(loss=np.array([1.6])))


def test_a_cap_on_tokens_that_binds_gives_the_smallest_model_that_it_allows(sardana):
    """The best run lies on the edge of what is possible: beyond it no number of tokens reaches the loss."""
    for loss, cap in ((2.1, 3e11), (2.47, 5.6e10), (2.06, 2.2e12)):
        run = plan(sardana, Terms(loss=np.array([loss]), served=1e14, max_tokens=cap))["plan"]
        size = (406.4 / (loss - 1.69 - 410.7 * cap**-0.283)) ** (1 / 0.336)
        assert run["N"] == pytest.approx(size, rel=1e-4)
        assert run["D"] <= cap * (1 + 1e-9)


def test_no_run_within_the_caps_is_better():
    """Random laws, prices, budgets, losses and caps against a dense search; nothing is refused that can be done."""
    generator, refused = np.random.default_rng(0), 0
    for _ in range(60):
        laws = laws_of(Evidence(named(generator.choice(["besiroglu2024", "gadre2024-c4", "kaplan2020"]))))
        served, first, second = (10 ** generator.uniform(low, high) for low, high in ((9, 14), (-1, 1), (-1, 1)))
        caps = [10 ** generator.uniform(*span) if generator.random() < 0.6 else None for span in ((7, 13), (8, 14))]
        asks = {"budget": 10 ** generator.uniform(18, 26)}
        if generator.random() < 0.5:
            asks = {"loss": np.array([generator.uniform(1.75, 3.5)])}
        terms = Terms(
            **asks, served=served, training_price=first, serving_price=second, max_size=caps[0], max_tokens=caps[1]
        )
        size, tokens = decide(laws, terms)
        tried = np.linspace(0, min(terms.log_max_size, 69), 1001)
        many = Laws(laws.fitted, np.repeat(laws.solutions, tried.size, axis=0))
        every = replace(terms, loss=None if terms.loss is None else np.repeat(terms.loss, tried.size))
        along = tokens_at(many, every, tried)
        with np.errstate(all="ignore"):
            values = many.loss(tried, along) if terms.loss is None else every.cost(tried, along)
        best = np.where(np.isfinite(values), values, np.inf).min()
        if not np.isfinite(size[0]):
            refused += 1
            assert not np.isfinite(best)
            continue
        assert size[0] <= terms.log_max_size + 1e-9
        assert tokens[0] <= terms.log_max_tokens + 1e-9
        reached = laws.loss(size, tokens)[0]
        if terms.loss is None:
            assert terms.cost(size, tokens)[0] <= terms.budget * (1 + 1e-9)
            assert reached <= best * (1 + 1e-9)
        else:
            assert reached <= terms.loss[0] * (1 + 1e-9)
            assert terms.cost(size, tokens)[0] <= best * (1 + 1e-9)
    assert 0 < refused < 30


def test_a_fixed_size_or_number_of_tokens_keeps_to_the_other_cap(sardana):
    wanted = np.array([2.1])
    free = plan(sardana, Terms(loss=wanted, tokens=1e12))["plan"]["N"]
    assert plan(sardana, Terms(loss=wanted, tokens=1e12, max_size=1.01 * free))["plan"]["N"] == pytest.approx(free)
    with pytest.raises(InputError, match="no run meets"):
        plan(sardana, Terms(loss=wanted, tokens=1e12, max_size=0.99 * free))
    assert plan(sardana, Terms(budget=1e24, tokens=1e12, max_size=1e9))["plan"]["N"] == pytest.approx(1e9)
    assert plan(sardana, Terms(budget=1e24, size=1e9, max_tokens=1e12))["plan"]["D"] == pytest.approx(1e12)


def test_regret_within_caps_is_never_negative_and_the_ends_keep_to_them(epoch_fit):
    evidence = Evidence(epoch_fit, draws=(draw(epoch_fit, count=300, kind="auto", seed=0),))
    free = plan(evidence, Terms(budget=1e22))["plan"]
    cap = 1.05 * free["N"]
    for terms in (
        Terms(budget=1e22, max_size=cap), Terms(budget=1e22, max_tokens=1.05 * free["D"]),
        Terms(loss=np.full(301, free["loss"]), max_size=cap),
    ):  # fmt: skip
        found = plan(evidence, terms)
        assert found["risk"]["regret_median"] >= -1e-12
        assert found["plan"]["N_high"] <= cap or terms.max_size is None
        assert found["plan"]["D_high"] <= (terms.max_tokens or np.inf)


def test_draws_that_never_reach_a_loss_leave_the_upper_end_open(epoch_fit):
    """Near E the points do not even say that the loss can be reached: dropping such draws would hide it."""
    evidence = Evidence(epoch_fit, draws=(draw(epoch_fit, count=300, kind="auto", seed=0),))
    found = plan(evidence, Terms(loss=np.full(301, epoch_fit.values["E"] + 0.01)))
    assert 0.2 < found["draws_without"] < 0.5
    assert found["plan"]["cost_low"] < found["plan"]["cost"]
    assert [found["plan"][f"{name}_high"] for name in ("cost", "N", "D")] == [None, None, None]
    assert found["risk"]["regret_high"] is None
    assert any("of the draws" in text for text in cautions.of_draws(evidence, found["draws_without"]))
    near = plan(evidence, Terms(loss=np.full(301, 2.2)))
    assert near["draws_without"] == 0
    assert near["plan"]["cost_high"] is not None
    assert not [*cautions.of_draws(evidence, near["draws_without"])]


def test_an_error_becomes_the_loss_that_has_it():
    loss = np.linspace(2, 4, 20)
    generator = np.random.default_rng(0)
    error = fit(
        EXPONENTIAL, loss[None], 0.85 - 2.2 * np.exp(-0.71 * loss) + 1e-3 * generator.standard_normal(20),
        loss="lsq", delta=1, space="raw",
    )  # fmt: skip
    evidence = Evidence(named("besiroglu2024"), error)
    wanted = loss_for_error(evidence, 0.5)
    assert error.at(wanted[None])[0] == pytest.approx(0.5, abs=1e-9)
    run = plan(evidence, Terms(loss=wanted))["plan"]
    assert run["error"] == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(InputError, match="never says"):
        loss_for_error(evidence, 0.99)
    with pytest.raises(InputError, match="no downstream law"):
        loss_for_error(Evidence(named("besiroglu2024")), 0.5)


def test_plans_carry_what_the_runs_leave_open(epoch_fit):
    evidence = Evidence(epoch_fit, draws=(draw(epoch_fit, count=300, kind="auto", seed=0),))
    found = plan(evidence, Terms(budget=1e23, served=1e12))
    run, risk = found["plan"], found["risk"]
    assert run["N_low"] < run["N"] < run["N_high"]
    assert risk["of"] == "loss"
    assert 0 <= risk["regret_median"] < risk["regret_high"] < 0.02
    assert min(risk["at_N_low"], risk["at_N_high"]) > laws_of(evidence).loss(*decide(laws_of(evidence), Terms(
        budget=1e23, served=1e12)))[0]  # fmt: skip
    assert found["saving"]["fraction_low"] is not None


def isoflop(alpha, beta, *, points=15, reach=8.0):
    """Noise-free runs on IsoFLOP profiles about each optimum."""
    law = Evidence(published(CHINCHILLA, SARDANA | {"alpha": alpha, "beta": beta}))
    laws, sizes, tokens = laws_of(law), [], []
    for one in 10.0 ** np.arange(17, 22):
        best = optimal(laws, one)[0][0]
        sizes.append(best + np.linspace(-np.log(reach), np.log(reach), points))
        tokens.append(np.log(one / 6) - sizes[-1])
    size, token = np.concatenate(sizes), np.concatenate(tokens)
    return laws, size, token, law.loss.at(np.stack([size, token]))


@pytest.mark.parametrize(
    ("alpha", "beta", "N", "D", "slack"),
    [(0.34, 0.28, 2.99, -2.90, 0.05), (0.31, 0.31, 0, 0, 1e-3), (0.465, 0.155, 16.2, -13.9, 0.05)],
)
def test_the_bias_of_approach_2(alpha, beta, N, D, slack):
    laws, size, tokens, loss = isoflop(alpha, beta)
    true = [np.exp(one[0]) for one in optimal(laws, 1e24)]
    said = approaches.power_of_compute(approaches.isoflop_minima(size, tokens, loss), 1e24, level=LEVEL)
    assert 100 * (said["N"] / true[0] - 1) == pytest.approx(N, abs=slack)
    assert 100 * (said["D"] / true[1] - 1) == pytest.approx(D, abs=slack)
    found = approaches.compare(laws, size, tokens, loss, [str(at) for at in range(size.size)], flops=1e24, level=LEVEL)
    assert found["approach2"]["N_bias"] == pytest.approx(said["N"] / true[0] - 1)
    assert found["approach2"]["N_corrected"] == pytest.approx(true[0], rel=1e-9)
    assert found["approach2"]["budgets"] == 5
    refit = fit(CHINCHILLA, np.stack([size, tokens]), loss, loss="lsq", delta=1, space="raw")
    for name, value in (SARDANA | {"alpha": alpha, "beta": beta}).items():
        assert refit.values[name] == pytest.approx(value, rel=1e-6)


def test_approach_1_follows_training_curves():
    """Checkpoints of constant-rate runs: the envelope of their curves grows as the law says."""
    evidence = Evidence(named("besiroglu2024"))
    laws = laws_of(evidence)
    size = np.repeat(np.log(np.geomspace(1e8, 1e10, 40)), 30)
    tokens = np.tile(np.log(np.geomspace(1e9, 1e12, 30)), 40)
    loss = evidence.loss.at(np.stack([size, tokens]))
    names = [f"run {at // 30}" for at in range(size.size)]
    found = approaches.compare(laws, size, tokens, loss, names, flops=1e22, level=LEVEL)["approach1"]
    assert found["exponent"] == pytest.approx(exponent(evidence, laws, 1e21).value, abs=0.05)
    assert found["exponent_low"] < found["exponent"] < found["exponent_high"]


def test_runs_without_budgets_leave_the_approaches_out(gadre):
    rows = gadre["dataset"] == "rpj"
    laws = laws_of(Evidence(named("gadre2024-rpj")))
    size, tokens = np.log(gadre["N"][rows]), np.log(gadre["D"][rows])
    found = approaches.compare(
        laws, size, tokens, gadre["loss_c4_val"][rows], [str(at) for at in range(size.size)], flops=1e22, level=LEVEL
    )
    assert found == {"approach1": None, "approach2": None}


@pytest.mark.parametrize("law", [GADRE, CHINCHILLA, KAPLAN], ids=lambda law: law.name)
def test_the_next_run_narrows_the_interval_as_foretold(law):
    """The run that is said to help most is added with a loss that the law expects: the interval shrinks by as much."""
    generator = np.random.default_rng(0)
    size, tokens, y = grid(0.005, generator)
    fitted = fit_to(law, size, tokens, y)
    asked = Places.of(np.array([3e10]), np.array([6e11]))
    found = next_runs(fitted, asked, Limits(1e21), level=LEVEL)
    best = found["runs"][0]
    assert best["C"] <= 1e21 * (1 + 1e-9)
    halves = [run["half_width"] for run in found["runs"]]
    assert halves == sorted(halves)
    assert halves[0] < found["half_width_any_run"] < found["half_width"]

    def half(law_, spread):
        one = predict(law_, places(law, asked.size, asked.tokens), level=LEVEL)
        return float(one.high[0] - one.low[0]) / 2 * spread

    assert half(fitted, 1) == pytest.approx(found["half_width"], rel=1e-6)
    expected = fitted.at(places(law, np.array([best["N"]]), np.array([best["D"]])))
    more = fit_to(law, np.append(size, best["N"]), np.append(tokens, best["D"]), np.append(y, expected))
    assert half(more, np.sqrt(fitted.noise / more.noise)) == pytest.approx(best["half_width"], rel=0.02)


def test_a_next_run_needs_an_error_and_a_budget():
    size, tokens, y = grid(0.005, np.random.default_rng(0))
    asked = Places.of(np.array([3e10]), np.array([6e11]))
    with pytest.raises(InputError, match="does not know its error"):
        next_runs(published(CHINCHILLA, TRUTH), asked, Limits(1e21), level=LEVEL)
    with pytest.raises(InputError, match="no run costs"):
        next_runs(fit_to(CHINCHILLA, size, tokens, y), asked, Limits(1e12), level=LEVEL)
    few = next_runs(fit_to(CHINCHILLA, size, tokens, y), asked, Limits(1e21, max_size=2e7), level=LEVEL)
    assert all(run["N"] <= 2e7 for run in few["runs"])
