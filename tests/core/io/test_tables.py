"""Tables: columns are checked, bytes are deterministic, other libraries read them."""

import io
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vlmkit.core.errors import InputError
from vlmkit.core.io.tables import TableWriter, iter_rows, read_tables, write_table


def documents(count):
    return [{"id": str(i), "text": f"text {i}", "url": None, "source": "s", "metadata": "{}"} for i in range(count)]


def test_parts_and_rows_come_back_in_order(tmp_path):
    with TableWriter(tmp_path, kind="documents", rows_per_part=3) as writer:
        writer.add(documents(7))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"part-{i:05d}.parquet" for i in range(3)]
    assert [row["id"] for row in iter_rows(tmp_path)] == [str(i) for i in range(7)]
    assert read_tables(tmp_path, columns=["text"]).column_names == ["text"]


def test_an_empty_table_still_has_its_columns(tmp_path):
    with TableWriter(tmp_path, kind="dropped"):
        pass
    assert "rule" in read_tables(tmp_path).column_names


def test_equal_rows_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_table(tmp_path / name, documents(50), kind="documents")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_missing_or_mistyped_column_is_a_fault_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="'images' needs a column image"):
        write_table(tmp_path / "x.parquet", pa.table({"id": ["a"]}), kind="images")
    assert not list(tmp_path.iterdir())


def test_an_unknown_column_is_named_with_the_nearest(tmp_path):
    write_table(tmp_path / "x.parquet", documents(1), kind="documents")
    with pytest.raises(InputError) as caught:
        read_tables(tmp_path / "x.parquet", columns=["txt"])
    assert "column 'txt' is missing" in caught.value.what
    assert "x.parquet (it has: id, text" in caught.value.where
    assert "'text'" in caught.value.fix


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "x.parquet"
    write_table(path, documents(100), kind="documents")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="not a readable parquet file") as caught:
        read_tables(path)
    assert caught.value.where == str(path)


def test_datasets_decodes_images_by_itself(tmp_path, monkeypatch):
    picture = io.BytesIO()
    Image.new("L", (8, 8), 7).save(picture, "PNG")
    rows = [{"id": "a", "image": {"bytes": picture.getvalue(), "path": None}, "label": 3, "feature": [1.0, 2.0]}]
    write_table(tmp_path / "part-00000.parquet", rows, kind="images")
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    import datasets

    found = datasets.Dataset.from_parquet(str(tmp_path / "part-00000.parquet"), cache_dir=str(tmp_path / "cache"))
    assert found[0]["image"].size == (8, 8)
    assert found[0]["label"] == 3
    assert found[0]["feature"] == [1.0, 2.0]


def test_row_groups_stay_small(tmp_path):
    write_table(tmp_path / "x.parquet", documents(25_000), kind="documents")
    metadata = pq.read_metadata(tmp_path / "x.parquet")
    assert max(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)) <= 10_000
