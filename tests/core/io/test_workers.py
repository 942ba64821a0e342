"""Parts of work on several processes: every result once, errors handed over, a dead process reported."""

import os

import pytest

from vlmkit.core.errors import InputError, RunError
from vlmkit.core.io.workers import run_parts


def setup() -> int:
    return 10


def work(state: int, number: int, part: str) -> str:
    if part == "wrong":
        raise InputError("this part is wrong", where=f"part {number}", fix="mend it")
    if part == "die":
        os._exit(7)
    return f"{part}{state}"


@pytest.mark.parametrize("workers", [1, 3])
def test_every_part_comes_back_once_with_its_number(workers):
    parts = list(enumerate("abcdefgh"))
    assert dict(run_parts(work, setup, parts, workers=workers)) == {i: f"{part}10" for i, part in parts}


def test_an_error_of_a_part_keeps_its_three_lines():
    with pytest.raises(InputError) as error:
        list(run_parts(work, setup, [(0, "a"), (1, "wrong")], workers=2))
    assert (error.value.what, error.value.where, error.value.fix) == ("this part is wrong", "part 1", "mend it")


def test_a_process_that_dies_is_reported_and_nothing_hangs():
    with pytest.raises(RunError, match="ended with code 7"):
        list(run_parts(work, setup, [(0, "a"), (1, "die"), (2, "b")], workers=2))


def test_nothing_to_do_starts_nothing():
    assert list(run_parts(work, setup, [], workers=4)) == []
