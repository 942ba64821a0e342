"""Parts of work on several processes: every result once, errors handed over, a dead process reported."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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


ORPHANS = """
import os, sys, time
from pathlib import Path
from vlmkit.core.io.workers import run_parts

def work(state, number, part):
    Path(sys.argv[1], f"begun-{number}").write_text("")
    time.sleep(1)
    Path(sys.argv[1], f"ended-{number}").write_text("")

if __name__ == "__main__":
    list(run_parts(work, int, list(enumerate("abcd")), workers=2))
"""


def test_workers_of_a_killed_process_stop_in_the_middle_of_a_part(tmp_path):
    (tmp_path / "run.py").write_text(ORPHANS)
    process = subprocess.Popen([sys.executable, str(tmp_path / "run.py"), str(tmp_path)])
    deadline = time.monotonic() + 20
    while len(list(tmp_path.glob("begun-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1.5)
    assert not list(Path(tmp_path).glob("ended-*"))
