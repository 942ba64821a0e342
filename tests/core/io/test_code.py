"""Files of Python that users bring."""

import sys

import pytest

from vlmkit.core.io.code import load_file


def test_a_file_is_run_once_and_again_when_it_has_changed(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from dataclasses import dataclass\n\n@dataclass\nclass One:\n    size: int = 1\n")
    first = load_file(path)
    assert load_file(path) is first
    assert first.One().size == 1
    path.write_text("size = 2\n")
    assert load_file(path).size == 2


@pytest.mark.parametrize("last", ["1 / 0", "raise SystemExit(3)"])
def test_a_file_that_fails_is_forgotten(tmp_path, last):
    path = tmp_path / "broken.py"
    path.write_text(last)
    before = set(sys.modules)
    for _ in range(2):
        with pytest.raises((ZeroDivisionError, SystemExit)):
            load_file(path)
    assert set(sys.modules) == before
