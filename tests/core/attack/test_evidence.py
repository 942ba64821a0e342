"""Signs that gradients mislead: when a share of images counts as one."""

import pytest

from vlmkit.core.attack.evidence import Sign


@pytest.mark.parametrize(
    ("indicator", "count", "of", "fired"),
    [
        ("zero_gradient", 1, 1, True), ("probabilities", 3, 3, True), ("random_output", 1, 60, True),
        ("zero_gradient", 1, 60, False), ("unbounded", 2, 30, False), ("unbounded", 9, 30, True),
        ("square_gain", 1, 10, False), ("more_steps", 1, 1, False), ("more_steps", 2, 2, True),
        ("square_gain", 5, 60, True), ("zero_gradient", 0, 0, False), ("unverified", 0, 0, False),
    ],
)  # fmt: skip
def test_a_model_is_judged_by_all_of_few_images_but_not_by_a_gain_on_one(indicator, count, of, fired):
    assert Sign(indicator, count, of).fired == fired
