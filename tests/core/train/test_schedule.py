"""Learning rates of specs/pretrain.md 1.3, to 1e-12."""

import math

import pytest

from vlmkit.core.train.schedule import constant, cooldown, cosine

PEAK, END = 3e-3, 3e-5


def test_cosine_follows_openlm_at_its_corners():
    total, warmup = 15_702, 2000
    rate = cosine(total, warmup=warmup, end=END)
    assert rate(0, PEAK) == pytest.approx(PEAK / warmup, abs=1e-12)
    assert rate(warmup - 1, PEAK) == pytest.approx(PEAK, abs=1e-12)
    assert rate(warmup, PEAK) == pytest.approx(PEAK, abs=1e-12)
    last = END + 0.5 * (1 + math.cos(math.pi * (total - 1 - warmup) / (total - warmup))) * (PEAK - END)
    assert rate(total - 1, PEAK) == pytest.approx(last, abs=1e-12)
    assert rate(total, PEAK) == pytest.approx(END, abs=1e-12)


def test_a_group_whose_peak_lies_below_the_end_stays_at_its_peak():
    assert cosine(10, end=1e-3)(9, 1e-4) == pytest.approx(1e-4, abs=1e-15)


def test_constant_and_cooldown():
    assert [constant(warmup=2)(step, 1.0) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]
    rate = cooldown(10, warmup=2, end=0.0, cooldown_steps=4)
    assert [rate(step, 1.0) for step in range(11)] == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0.0])
