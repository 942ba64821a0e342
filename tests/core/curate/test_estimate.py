"""Intervals of shares: Wilson's, wider for pages that are alike, and none for the whole input."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from vlmkit.core.curate.estimate import Counts, Estimate, number_kept, shares, wilson
from vlmkit.core.curate.trial import Trial
from vlmkit.core.curate.work import Tally


@pytest.mark.parametrize(("kept", "number"), [(0, 10), (3, 10), (10, 10), (120, 300)])
def test_the_interval_is_wilsons(kept, number):
    assert wilson(kept / number, number) == pytest.approx(proportion_confint(kept, number, method="wilson"), abs=1e-6)


def test_pages_drawn_alone_and_pages_that_are_alike():
    ones = np.tile([1.0, 0.0], 50)
    alone = Counts(np.ones(100), np.full(100, 1e6), 0.0)
    (single,) = shares(alone, [ones])
    assert (single.low, single.high) == pytest.approx(proportion_confint(50, 100, method="wilson"), abs=1e-2)
    alike = Counts(np.full(100, 10.0), np.full(100, 1e5), 0.0)
    (ten,) = shares(alike, [10 * ones])
    assert (ten.low, ten.high) == pytest.approx((single.low, single.high), abs=1e-3)


def test_shares_that_show_no_variance_borrow_the_worst_of_the_other_stages():
    counts = Counts(np.full(50, 10.0), np.full(50, 1e5), 0.0)
    every, half = shares(counts, [counts.pages, counts.pages * (np.arange(50) % 2)])
    assert (every.value, every.high) == (1, pytest.approx(1))
    assert every.low == pytest.approx(wilson(1.0, 500 / (50 / 49 * 10))[0], abs=1e-3)
    assert half.value == 0.5


def test_of_the_whole_input_nothing_is_left_to_chance():
    counts = Counts(np.array([3.0, 4.0]), np.ones(2), 0.0)
    (found,) = shares(counts, [np.array([1.0, 2.0])])
    assert found == Estimate(3 / 7, pytest.approx(3 / 7), pytest.approx(3 / 7))
    assert number_kept(counts.all_pages(), found, 0.0).rounded() == {"value": 3, "low": 3, "high": 3}


def test_weights_count_and_an_unknown_number_of_pages_widens_the_interval():
    counts = Counts(np.array([10.0, 10.0]), np.array([1.0, 9.0]), 20.0)
    (share,) = shares(counts, [np.array([10.0, 0.0])])
    assert share.value == pytest.approx(0.1)
    narrow, wide = (number_kept(counts.all_pages(), share, error) for error in (0.0, 20.0))
    assert wide.value == narrow.value == pytest.approx(10)
    assert narrow.high < wide.high


@pytest.mark.parametrize(("half", "every", "after"), [(1.1, 1.2, 3.0), (0.1, 0.2, 2.0), (0.0, 0.2, 2.0), (3, 2, 2.0)])
def test_work_that_follows_takes_a_fixed_time_and_one_for_each_page(half, every, after):
    trial = Trial(Tally(), {}, None, 0, {}, 50, 100, {"a": 3.0}, {"a": half}, {"a": every})
    assert trial.seconds("a", 1000) == pytest.approx((30, after))
