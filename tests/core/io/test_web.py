"""What users bring: formats, encodings, and what is said of what cannot be read."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from vlmkit.core.errors import InputError
from vlmkit.core.io.encodings import clean, decode
from vlmkit.core.io.inflate import Damage
from vlmkit.core.io.records import check_columns
from vlmkit.core.io.sources import find_sources, plan_parts
from vlmkit.core.io.web import Page, Reading, read_slice


def read(*paths: Path, unit: str = "block", column: str = "text") -> tuple[list[Page], list[Damage]]:
    reading = Reading(column, unit)
    found = [one for part in plan_parts(find_sources(paths)) for piece in part for one in read_slice(piece, reading)]
    return [one for one in found if isinstance(one, Page)], [one for one in found if isinstance(one, Damage)]


def texts(pages: list[Page]) -> list[str | None]:
    return [page.text for page in pages]


def response(url: str, body: bytes, *, kind: str = "text/html", status: int = 200) -> bytes:
    block = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n\r\n".encode() + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def test_an_archive_gives_pages_and_says_why_others_are_none(tmp_path):
    records = [
        response("http://a.org/", "<p>ä</p>".encode("latin-1"), kind="text/html; charset=ISO-8859-1"),
        response("http://a.org/b.png", b"\x89PNG", kind="image/png"),
        response("http://a.org/gone", b"<p>gone</p>", status=404),
        response("http://a.org/empty", b"  "),
        response("http://a.org/c.txt", b"plain", kind="text/plain"),
        response("http://a.org/d", b"<!DOCTYPE html><p>no type", kind=""),
    ]
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    pages, damages = read(tmp_path)
    assert [page.url for page in pages] == ["http://a.org/", "http://a.org/c.txt", "http://a.org/d"]
    assert (pages[0].html, pages[0].charset, pages[1].text) == (b"<p>\xe4</p>", "iso-8859-1", "plain")
    assert [damage.rule for damage in damages] == ["content_type", "http_status", "empty_page"]
    assert damages[0].offset == len(records[0])


LINES = [{"id": "a", "text": "one", "url": "http://a", "x": 1}, {"text": "two", "metadata": {"y": 2}}]


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".json"])
def test_json_lines_in_every_dress(tmp_path, suffix):
    data = "\n".join(map(json.dumps, LINES)).encode()
    packed = gzip.compress(data) if suffix.endswith("gz") else data
    packed = zstandard.compress(data) if suffix.endswith("zst") else packed
    (tmp_path / f"a{suffix}").write_bytes(packed)
    pages, damages = read(tmp_path)
    assert texts(pages) == ["one", "two"]
    assert (pages[0].id, pages[0].url, pages[0].metadata) == ("a", "http://a", {"x": 1})
    assert (pages[1].id, pages[1].metadata, pages[1].source) == (None, {"y": 2}, f"a{suffix}")
    assert damages == []


def test_a_json_array_and_a_json_object(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(LINES, indent=1))
    (tmp_path / "b.json").write_text(json.dumps(LINES[0], indent=1))
    (tmp_path / "c.json").write_text(json.dumps({"settings": {"a": 1}}, indent=1))
    pages, damages = read(tmp_path)
    assert texts(pages) == ["one", "two", "one"]
    assert [damage.rule for damage in damages] == ["no_text"]


def test_broken_lines_are_named_by_file_and_line(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(
        b'{"text": "one"}\n{"text": \n\n[1]\n{"text": "caf\xe9"}\n{"other": 1}\n{"text": null}\n{"text": "six"}'
    )
    pages, damages = read(tmp_path)
    assert texts(pages) == ["one", "six"]
    assert [damage.rule for damage in damages] == ["broken_line"] * 3 + ["no_text"] * 2
    assert [damage.reason.partition(" is")[0].partition(":")[0] for damage in damages] == [
        "line 2", "line 4", "line 5", "line 6", "line 7",
    ]  # fmt: skip
    assert all(damage.source == "a.jsonl" for damage in damages)


def test_slices_of_json_lines_share_no_line_and_leave_none_out(tmp_path):
    rows = [{"text": "x" * (i * 37 % 3000), "n": i} for i in range(4000)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    parts = plan_parts(find_sources([tmp_path]))
    assert len(parts) > 2
    pages, damages = read(tmp_path)
    assert [page.metadata["n"] for page in pages] == list(range(4000))
    assert damages == []


def test_a_gzip_of_lines_that_is_cut_short_keeps_the_lines_before(tmp_path):
    data = gzip.compress("".join(json.dumps({"text": f"line {i} {i * i}"}) + "\n" for i in range(5000)).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(data[: len(data) // 2])
    pages, damages = read(tmp_path)
    assert len(pages) > 1000
    assert texts(pages) == [f"line {i} {i * i}" for i in range(len(pages))]
    assert "truncated" in [damage.rule for damage in damages]


@pytest.mark.parametrize("damage", ["cut", "noise", "none"])
def test_a_damaged_zst_is_reported(tmp_path, damage):
    frame = zstandard.compress(b'{"text": "one"}\n' * 60_000)
    data = frame + (frame[:-5] if damage == "cut" else b"noise" if damage == "noise" else frame)
    (tmp_path / "a.jsonl.zst").write_bytes(data)
    pages, damages = read(tmp_path)
    assert set(texts(pages)) == {"one"}
    assert len(pages) == 120_000 if damage == "none" else 60_000 <= len(pages) < 120_000
    rules = {"cut": ["truncated"], "noise": ["damaged_zstd"], "none": []}[damage]
    assert [one.rule for one in damages if one.rule != "broken_line"] == rules


def test_parquet_rows_and_a_damaged_row_group(tmp_path):
    table = pa.table({"id": list(range(6)), "text": [f"text {i}" for i in range(6)], "n": list(range(6))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2, compression="zstd", use_dictionary=False)
    pages, damages = read(tmp_path)
    assert texts(pages) == [f"text {i}" for i in range(6)]
    assert (pages[3].id, pages[3].metadata) == ("3", {"n": 3})
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    column = pq.read_metadata(tmp_path / "a.parquet").row_group(1).column(1)
    data[column.data_page_offset : column.data_page_offset + column.total_compressed_size] = bytes(
        column.total_compressed_size
    )
    (tmp_path / "a.parquet").write_bytes(bytes(data))
    pages, damages = read(tmp_path)
    assert texts(pages) == ["text 0", "text 1", "text 4", "text 5"]
    assert [(damage.rule, damage.offset) for damage in damages] == [("damaged_rows", 2)]


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("file", ["one\ntwo\n\n \nthree"]), ("block", ["one\ntwo", "three"]), ("line", ["one", "two", "three"])],
)
def test_what_one_document_of_a_text_file_is(tmp_path, unit, expected):
    (tmp_path / "a.txt").write_text("\none\ntwo\n\n \nthree\n\n")
    pages, damages = read(tmp_path / "a.txt", unit=unit)
    assert texts(pages) == expected
    assert damages == []


def test_html_files_and_their_order(tmp_path):
    for name in ("b/z.html", "b/a.htm", "a.html.gz", ".hidden.html", "empty.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        data = b"" if "empty" in name else name.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    pages, damages = read(tmp_path)
    assert [page.source for page in pages] == ["a.html.gz", "b/a.htm", "b/z.html"]
    assert pages[0].html == b"a.html.gz"
    assert [(damage.source, damage.rule) for damage in damages] == [("empty.html", "empty_page")]


def test_inputs_come_in_one_order_however_they_are_given(tmp_path):
    for folder, text in (("x", "1"), ("y", "2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(text)
    one, _ = read(tmp_path / "x", tmp_path / "y")
    other, _ = read(tmp_path / "y", tmp_path / "x")
    assert texts(one) == texts(other)


def test_a_curated_artifact_gives_its_documents_alone(tmp_path):
    for name in ("documents", "dropped"):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"text": [name]}), tmp_path / name / "part-00000.parquet")
    (tmp_path / "manifest.json").write_text("{}")
    pages, _ = read(tmp_path)
    assert texts(pages) == ["documents"]


def test_a_folder_with_nothing_readable_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG....")
    with pytest.raises(InputError, match="nothing here can be read"):
        find_sources([tmp_path])
    with pytest.raises(InputError, match="does not exist"):
        find_sources([tmp_path / "nowhere"])


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_table_without_the_column_is_refused_by_name(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"texts": ["a"]}), path)
    else:
        path.write_text('{"texts": "a"}\n')
    with pytest.raises(InputError) as error:
        check_columns(find_sources([path]), "text")
    assert str(path) in error.value.where
    assert "texts" in error.value.fix
    check_columns(find_sources([path]), "texts")
    assert texts(read(path, column="texts")[0]) == ["a"]


def test_a_file_that_is_no_parquet_is_refused_by_name(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError) as error:
        check_columns(find_sources([tmp_path]), "text")
    assert "a.parquet" in error.value.where


RUSSIAN = "Привет, это русский текст о погоде и о городе, в котором мы живём. " * 5
ENCODED = {
    "utf-8": ("Grüße", "Grüße".encode(), ""),
    "utf-8 stated as latin-1": ("Grüße", "Grüße".encode(), "iso-8859-1"),
    "utf-8 with a mark": ("Grüße", b"\xef\xbb\xbf" + "Grüße".encode(), ""),
    "utf-16 with a mark": ("Grüße", b"\xff\xfe" + "Grüße".encode("utf-16-le"), ""),
    "latin-1 stated by HTTP": ("Grüße", "Grüße".encode("latin-1"), "ISO-8859-1"),
    "shift_jis stated by HTTP": ("日本語", "日本語".encode("shift_jis"), "Shift_JIS"),
    "cp1251 detected": (RUSSIAN, RUSSIAN.encode("cp1251"), ""),
    "cp1251 under a charset that does not exist": (RUSSIAN, RUSSIAN.encode("cp1251"), "no-such-charset"),
    "null bytes": ("ab", b"a\0b", ""),
}


@pytest.mark.parametrize("name", ENCODED)
def test_encodings(name):
    text, data, charset = ENCODED[name]
    assert decode(data, charset) == text


def test_a_meta_tag_states_the_encoding():
    page = '<html><head><meta charset="windows-1250"></head><p>Zażółć gęślą jaźń</p>'
    assert "Zażółć gęślą jaźń" in decode(page.encode("cp1250"))


def test_bytes_that_no_encoding_explains_still_give_text():
    text = decode(bytes(range(128, 256)) * 3 + b" and <p>words", "utf-8")
    assert "words" in text
    text.encode()


def test_lone_surrogates_become_replacement_characters():
    assert clean("a\ud800b\udc00") == "a\ufffdb\ufffd"
    assert clean("\ud83d\ude00") == "😀"
    assert clean("plain\0") == "plain"
