"""Conditions over columns."""

import numpy as np
import pytest

from vlmkit.core.errors import InputError
from vlmkit.core.scaling.expressions import select

COLUMNS = {
    "N": np.array([1e7, 4e8, 7e9, np.nan]),
    "M": np.array([20.0, 320.0, 20.0 * (1 + 5e-7), 20.0 * (1 + 5e-6)]),
    "dataset": np.array(["c4", "rpj", "rpj", None], dtype=object),
    "excluded": np.array([True, False, False, True]),
    "val loss-2": np.array([3.0, 2.0, 1.0, 0.0]),
}


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("N < 1e9", [1, 1, 0, 0]),
        ("M == 20", [1, 0, 1, 0]),
        ("M != 20", [0, 1, 0, 1]),
        ("dataset == 'rpj'", [0, 1, 1, 0]),
        ('dataset != "rpj"', [1, 0, 0, 1]),
        ("dataset in ['c4', 'pile']", [1, 0, 0, 0]),
        ("dataset not in ['c4', 'pile']", [0, 1, 1, 1]),
        ("M in [20, 40]", [1, 0, 1, 0]),
        ("(M == 20 and N < 1e9) or (M == 320 and N < 2e7)", [1, 0, 0, 0]),
        ("not excluded", [0, 1, 1, 0]),
        ("excluded == false and N > 1e9", [0, 0, 1, 0]),
        ("not (N < 1e9 or excluded)", [0, 0, 1, 0]),
        ("1e7 < N <= 4e8", [0, 1, 0, 0]),
        ("6 * N * N * M > 1.0e19", [0, 1, 1, 0]),
        ("N / 1e7 - 1 == 0", [1, 0, 0, 0]),
        ("-M + 340 >= 2 ** 3 * 40", [1, 0, 0, 0]),
        ("`val loss-2` > 1.5", [1, 1, 0, 0]),
        ("N == N", [1, 1, 1, 0]),
        (".5 < 1", [1, 1, 1, 1]),
    ],
)
def test_expressions_mean_what_they_say(expression, rows):
    assert select(expression, COLUMNS, where="--where").astype(int).tolist() == rows


@pytest.mark.parametrize(
    ("expression", "what", "fix"),
    [
        ("n_params < 1", "there is no column 'n_params'", ""),
        ("datset == 'c4'", "there is no column 'datset'", "did you mean 'dataset'?"),
        ("N", "this is a value, not a condition", ""),
        ("N = 3", "'=' means nothing here", "== compares"),
        ("N < 3 & M > 2", "'&' means nothing here", "write and"),
        ("N < ", "a column, number or text is missing before the end", ""),
        ("(N < 3", "')' is missing before the end", ""),
        ("N < 3)", "')' does not belong here", ""),
        ("dataset < 3", "'<' needs numbers", ""),
        ("dataset == 3", "'==' compares text with a number", ""),
        ("N and M", "'and' joins conditions, and this is a value", ""),
        ("N in 3", "'[' is missing before 3", ""),
        ("dataset == 'c4", "''' means nothing here", "close the quote"),
        ("__import__('os').system('true')", "'.' means nothing here", ""),
        ("", "a column, number or text is missing before the end", ""),
    ],
)
def test_a_wrong_expression_is_named_with_its_position(expression, what, fix):
    with pytest.raises(InputError) as caught:
        select(expression, COLUMNS, where="--where")
    assert caught.value.what == what
    assert caught.value.where.startswith(f"--where {expression!r}")
    assert fix in caught.value.fix


def test_the_position_is_that_of_the_wrong_word():
    with pytest.raises(InputError) as caught:
        select("M > 2 and Q < 3", COLUMNS, where="--target")
    assert caught.value.where == "--target 'M > 2 and Q < 3', position 11"
