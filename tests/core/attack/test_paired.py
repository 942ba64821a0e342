"""Paired comparisons against published figures and exact binomials."""

import numpy as np
import pytest
from scipy.stats import binom

from vlmkit.core.attack.paired import Paired


def test_intervals_of_differences_are_newcombes_and_hold_their_level():
    assert Paired(36, 12, 2, 0).interval == pytest.approx((0.0569, 0.3404), abs=1e-4)  # his table II, method 10
    low, high = Paired(30, 9, 2, 19).interval
    assert Paired(30, 2, 9, 19).interval == pytest.approx((-high, -low))
    assert Paired(0, 0, 0, 10).interval[0] <= 0 <= Paired(0, 0, 0, 10).interval[1]
    draw = np.random.default_rng(0)
    truth = (0.55, 0.12, 0.05, 0.28)
    pairs = [Paired(*counts).interval for counts in draw.multinomial(120, truth, size=1500).tolist()]
    held = np.mean([low <= truth[1] - truth[2] <= high for low, high in pairs])
    assert 0.935 < held < 0.975


def test_the_test_is_the_exact_binomial_one():
    pair = Paired(40, 9, 2, 49)
    assert pair.p == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    assert pair.difference == pytest.approx(0.07)
    assert Paired(5, 3, 3, 2).p == 1.0


def test_models_are_counted_by_the_radii_that_they_withstand():
    robust, fooled, wrong = ({"robust_at": some} for some in ([0.04, 0.05], [0.04], []))
    a, b = [robust, robust, fooled, wrong], [robust, fooled, fooled, robust]
    assert Paired.of(a, b, 0.05) == Paired(1, 1, 1, 1)
    assert Paired.of(a, b, 0.04) == Paired(3, 0, 1, 0)
