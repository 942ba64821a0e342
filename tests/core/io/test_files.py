"""Files appear whole or not at all."""

import errno

import pytest

from vlmkit.core.errors import CapabilityError
from vlmkit.core.io import files


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    files.write_text(path, "first")

    def die_in_the_middle():
        with files.atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        die_in_the_middle()
    assert path.read_text() == "first"
    assert files.files_below(tmp_path) == [path]
    assert not list(path.parent.glob("*.tmp-*"))


def test_a_full_disk_is_an_environment_error(tmp_path):
    with pytest.raises(CapabilityError, match="disk is full"), files.atomic(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_a_killed_run_left_is_swept_away(tmp_path):
    (tmp_path / "a.parquet.tmp-123").write_text("half")
    (tmp_path / "b.tmp-77").mkdir()
    (tmp_path / "kept.txt").write_text("whole")
    files.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_digest_of_a_folder_sees_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    first = files.digest_tree(tmp_path)
    (tmp_path / "a").rename(tmp_path / "c")
    second = files.digest_tree(tmp_path)
    (tmp_path / "c").write_text("3")
    assert len({first, second, files.digest_tree(tmp_path)}) == 3
