"""What is broken, odd or too large: counted with its reason, the rest read on; or refused in three lines."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.errors import InputError
from vlmkit.core.recipes.curate import run

GOOD = b'{"text": "a"}\n'
FRAMES = [zstandard.ZstdCompressor(write_checksum=True).compress(GOOD * 900) for _ in range(3)]


def record(body: bytes, *, head: bytes = b"Content-Type: text/html", length: int | None = None) -> bytes:
    block = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body
    stated = len(block) if length is None else length
    return b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n" % (stated, block)


PAGE = b"<html><body><p>The house by the river was sold.</p></body></html>"
FILES = {  # content by name, how many documents, drops by rule
    "null.jsonl": (b'{"text": "a\\u0000b"}\n\0\0\0\n{"text": "\0"}\n' + GOOD, 2, {"broken_line": 2}),
    "surrogates.jsonl": (
        b'{"id": "\\ud800", "text": "\\udc00 \\ud83d\\ude00", "url": "\\ud800", "k\\ud800": "\\udfff"}\n', 1, {},
    ),
    "mixed.jsonl": ('{"text": "é"}\n'.encode() + '{"text": "é"}\n'.encode("latin-1") + GOOD, 2, {"broken_line": 1}),
    "shapes.jsonl": (b'[1]\n"s"\n3\nnull\n' + GOOD + b"[" * 10**5 + b"\n", 1, {"broken_line": 5}),
    "texts.jsonl": (
        b'{"text": null}\n{"text": 3}\n{"text": ["a"]}\n{"text": " "}\n{"t": "a"}\n' + GOOD, 1,
        {"no_text": 4, "empty_text": 1},
    ),
    "numbers.jsonl": (b'{"text": "b", "n": ' + b"9" * 5000 + b"}\n" + GOOD, 1, {"broken_line": 1}),
    "ids.jsonl": (b'{"id": "%s", "text": "a"}\n' % (b"x" * 10**6) + b'{"id": {"a": 1}, "text": "b"}\n', 2, {}),
    "empty.jsonl": (b"", 0, {"empty_file": 1}),
    "blank.txt": (b"\n \n\n", 0, {"empty_file": 1}),
    "blank.jsonl.gz": (gzip.compress(b""), 0, {"empty_file": 1}),
    "frames.jsonl.zst": (b"".join(FRAMES), 2700, {}),
    "skippable.jsonl.zst": (b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + FRAMES[0], 900, {}),
    "cut.jsonl.zst": (b"".join(FRAMES)[:-6], 1800, {"truncated": 1}),
    "damaged.jsonl.zst": (FRAMES[0] + FRAMES[1][:-4] + b"\0" * 4 + FRAMES[2], 1800, {"damaged_zstd": 1}),
    "bomb.warc": (
        record(gzip.compress(b"<p>" + b"a" * (1 << 26)), head=b"Content-Encoding: gzip") + record(PAGE), 1,
        {"damaged_body": 1, "content_type": 1},
    ),
    "long.warc": (record(b"<html>" + b"a" * (1 << 25)) + record(PAGE), 1, {"too_long": 1}),
    "lies.warc": (record(PAGE, length=10**15) + record(PAGE), 2, {"wrong_length": 1}),
    "bare.warc": (record(b"") + record(PAGE), 1, {"empty_page": 1}),
    "broken.parquet": (b"PAR1nothing", 0, {"damaged_file": 1}),
    "a\udcff.jsonl": (GOOD, 1, {}),
}  # fmt: skip


def curate(source: Path, out: Path, **settings: object) -> dict:
    return run(CurateConfig(inputs=(source,), out=out, **{"workers": 1, "stages": ("extract",), **settings})).values


@pytest.mark.parametrize("name", FILES)
def test_what_is_broken_is_counted_and_the_rest_is_read(tmp_path, name):
    source = tmp_path / "in"
    source.mkdir()
    content, documents, rules = FILES[name]
    (source / name).write_bytes(content)
    (source / "zzz.txt").write_text("the last one")
    found = curate(source, tmp_path / "out")
    assert (found["documents"], found["rules"]) == (documents + 1, rules)
    dropped = pq.read_table(tmp_path / "out/dropped").to_pylist()
    assert len(dropped) == found["dropped"] == sum(rules.values())
    assert all(row["source"] and (row["text"] or row["rule"] == "empty_text" or row["url"]) for row in dropped if rules)


def test_columns_of_any_type_are_read_and_text_that_is_no_unicode_is_counted(tmp_path):
    wrong = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xff\xfe"]).buffers())
    odd = {"when": pa.array([0, 1], pa.timestamp("ns")), "list": [[1], None], "bytes": [b"\xff", None]}
    tables = {"large": pa.array(["a", None], pa.large_string()), "view": pa.array(["a", "b"], pa.string_view())}
    tables |= {"dictionary": pa.array(["a", "b"]).dictionary_encode(), "wrong": wrong, "number": pa.array([1, 2])}
    for name, text in tables.items():
        pq.write_table(pa.table({"text": text, **odd}), tmp_path / f"{name}.parquet")
    found = curate(tmp_path, tmp_path.with_name("out"))
    assert (found["documents"], found["rules"]) == (6, {"no_text": 3, "broken_row": 1})


def test_what_stands_in_the_place_of_files_is_counted(tmp_path):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    (source / "sub/a.jsonl").write_bytes(GOOD)
    (source / "gone.jsonl").symlink_to("nowhere")
    (source / "again").symlink_to("sub")
    os.mkfifo(source / "pipe.jsonl")
    assert curate(source, tmp_path / "out")["rules"] == {"no_file": 3}
    reasons = {row["source"]: row["text"] for row in pq.read_table(tmp_path / "out/dropped").to_pylist()}
    assert reasons["gone.jsonl"] == "a link that leads nowhere"
    assert reasons["again"] == "a link to a folder, which is not followed"
    for name, what in (("pipe.jsonl", "this is a pipe"), ("gone.jsonl", "is a link that leads nowhere")):
        with pytest.raises(InputError, match=what):
            curate(source / name, tmp_path / "other")
    assert not (tmp_path / "other").exists()


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from vlmkit.cli.app import main
sys.exit(main())
"""


def test_a_disk_that_is_full_is_named_and_the_run_goes_on_when_there_is_room(tmp_path, vlmkit):
    lines = [json.dumps({"text": os.urandom(500).hex()}) for _ in range(60)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    words = ["curate", "in.jsonl", "--out", "out", "--stages", "extract", "--workers", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "20000", *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["what"].startswith("a file may not grow as large")
    assert not list((tmp_path / "out").rglob("*.tmp-*"))
    assert vlmkit(*words, cwd=tmp_path).json["documents"] == 60


def test_a_page_of_a_hundred_megabytes_takes_bounded_memory(tmp_path):
    with (tmp_path / "in.jsonl").open("w") as file:
        file.write('{"text": "' + "a word or two " * (100_000_000 // 14) + '"}\n')
    words = ["curate", "in.jsonl", "--out", "out", "--stages", "extract", "--workers", "1"]
    process = subprocess.Popen([sys.executable, "-m", "vlmkit", *words], cwd=tmp_path, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0
    scale = 1024 if sys.platform != "darwin" else 1
    assert usage.ru_maxrss * scale < 2 << 30  # twenty times the page
