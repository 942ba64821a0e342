"""Archives: the samples of warcio row by row, ranges that meet, and every kind of damage named and survived."""

import gzip
import zlib
from pathlib import Path

import brotli
import pytest

from vlmkit.core.io.archives import Record, is_archive, read_archive
from vlmkit.core.io.http import parse_response
from vlmkit.core.io.inflate import Damage
from vlmkit.core.io.sources import Slice, Source

SAMPLES = Path(__file__).parents[4] / "shared/data/warc-samples"
EXAMPLE = "warcinfo:249 warcinfo:470 response:1270 request:0 revisit:0 request:0"
TABLE = {  # file -> records as type:bytes of the decoded body, and what is reported
    "example.warc": (EXAMPLE, []),
    "example.warc.gz": (EXAMPLE, []),
    "example.arc": ("arc_header:0 response:1270", []),
    "example.arc.gz": ("arc_header:0 response:1270", []),
    "example-space-in-url.arc": ("arc_header:0 response:1271", ["wrong_length"]),
    "bad.arc": ("arc_header:0 response:0 response:0 response:0", ["wrong_length"] * 3),
    "example-digest.warc": ("request:0 request:0 request:0 request:0", []),
    "example-iana.org-chunked.warc": ("warcinfo:137 response:7223 request:0", []),
    "example-resource.warc.gz": ("warcinfo:249 warcinfo:399 resource:1303", []),
    "example-space-in-target-uri.warc.gz": ("warcinfo:73 resource:70", []),
    "example-wget-bad-target-uri.warc.gz": (
        "warcinfo:232 request:0 response:1270 metadata:48 resource:49 resource:471", []
    ),
    "post-test.warc.gz": ("response:545 request:16 response:552 request:12 response:551 request:6", []),
    "example-trunc.warc": ("warcinfo:249 warcinfo:470 response:1270 request:0", ["wrong_length"]),
    "example-wrong-chunks.warc.gz": ("response:1270 request:0", []),
    "example-bad-non-chunked.warc.gz": (EXAMPLE, []),
    "example-bad.warc.gz.bad": ("warcinfo:196 response:1270 request:0 revisit:0 request:0 response:201", []),
}  # fmt: skip


def summary(found: list[Record | Damage], *, posts: bool = False) -> str:
    """Records as the table writes them: the bytes of a request are those behind its headers."""
    words = []
    for one in found:
        if isinstance(one, Record):
            body = one.block.partition(b"\r\n\r\n")[2] if one.kind == "request" else parse_response(one.block).body
            words.append(f"{one.kind}:{0 if one.kind == 'revisit' else len(body)}")
    return " ".join(words)


@pytest.mark.parametrize("name", TABLE)
def test_every_record_of_the_samples_is_read(name):
    path = SAMPLES / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    found = list(read_archive(path, name))
    records, damages = TABLE[name]
    assert summary(found) == records
    assert [one.rule for one in found if isinstance(one, Damage)] == damages
    assert is_archive(path)


def test_addresses_of_the_samples_lose_brackets_and_spaces():
    if not SAMPLES.is_dir():
        pytest.skip(f"{SAMPLES} is not here")
    spaces = list(read_archive(SAMPLES / "example-space-in-target-uri.warc.gz", "a"))[1]
    brackets = list(read_archive(SAMPLES / "example-wget-bad-target-uri.warc.gz", "a"))[2]
    assert spaces.url == "file:///example%20with%20spaces.png"
    assert brackets.url == "http://example.com/"


def record(
    number: int, body: bytes = b"<html>page</html>", *, length: int | None = None, kind: str = "response"
) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.org/{number}\r\nContent-Length: "
    return head.encode() + str(len(block) if length is None else length).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def read(path: Path, data: bytes) -> tuple[list[str], list[Damage]]:
    path.write_bytes(data)
    found = list(read_archive(path, path.name))
    urls = [one.url.rpartition("/")[2] for one in found if isinstance(one, Record)]
    return urls, [one for one in found if isinstance(one, Damage)]


def members(count: int) -> list[bytes]:
    return [gzip.compress(record(i, b"<html>" + bytes(str(i), "ascii") * 400), mtime=0) for i in range(count)]


def test_a_file_cut_short_loses_only_its_last_record(tmp_path):
    whole = b"".join(members(4))
    urls, damages = read(tmp_path / "a.warc.gz", whole[:-20])
    assert urls == ["0", "1", "2"]
    assert [d.rule for d in damages] == ["truncated"]
    assert damages[0].offset == len(b"".join(members(3)))
    urls, damages = read(tmp_path / "a.warc", b"".join(record(i) for i in range(4))[:-30])
    assert urls == ["0", "1", "2"]
    assert [d.rule for d in damages] == ["truncated"]


def test_a_damaged_member_is_reported_and_the_next_ones_are_read(tmp_path):
    parts = members(5)
    broken = bytearray(parts[2])
    broken[15:25] = bytes(10)
    urls, damages = read(tmp_path / "a.warc.gz", b"".join([*parts[:2], bytes(broken), *parts[3:]]))
    assert urls == ["0", "1", "3", "4"]
    assert {d.rule for d in damages} <= {"damaged_gzip", "no_record", "truncated"}
    assert damages[0].offset == len(parts[0] + parts[1])


def test_a_wrong_check_sum_is_reported(tmp_path):
    parts = members(3)
    broken = bytearray(parts[1])
    broken[-6] ^= 255
    urls, damages = read(tmp_path / "a.warc.gz", parts[0] + bytes(broken) + parts[2])
    assert {"0", "2"} <= set(urls)
    assert [d.rule for d in damages] == ["damaged_gzip"]


def test_bytes_behind_the_last_member_are_reported(tmp_path):
    urls, damages = read(tmp_path / "a.warc.gz", b"".join(members(2)) + b"this is no gzip at all" * 9)
    assert urls == ["0", "1"]
    assert [d.rule for d in damages] == ["not_gzip"]
    urls, damages = read(tmp_path / "b.warc.gz", b"".join(members(2)) + bytes(1000))
    assert (urls, damages) == (["0", "1"], [])  # zeros are padding


def test_bytes_between_members_are_reported(tmp_path):
    first, second = members(2)
    urls, damages = read(tmp_path / "a.warc.gz", first + b"\x1f\x8bnoise" * 30 + second)
    assert urls == ["0", "1"]
    assert [(d.rule, d.offset) for d in damages] == [("not_gzip", len(first))]


@pytest.mark.parametrize("length", [5, 40, 110, 10_000, "abc", -1])
def test_a_wrong_length_costs_no_other_record(tmp_path, length):
    data = record(0) + record(1, length=length) + record(2)
    urls, damages = read(tmp_path / "a.warc", data)
    assert urls == ["0", "1", "2"]
    assert [(d.rule, d.offset) for d in damages] == [("wrong_length", len(record(0)))]


def test_a_wrong_length_keeps_the_whole_page(tmp_path):
    path = tmp_path / "a.warc"
    path.write_bytes(record(0, length=50) + record(1, length=4000) + record(2))
    pages = [parse_response(one.block).body for one in read_archive(path, "a") if isinstance(one, Record)]
    assert pages == [b"<html>page</html>"] * 3


def test_bytes_that_belong_to_no_record_are_reported(tmp_path):
    urls, damages = read(tmp_path / "a.warc", record(0) + b"some\r\nnoise\r\n\r\n" + record(1))
    assert urls == ["0", "1"]
    assert [(d.rule, d.offset) for d in damages] == [("no_record", len(record(0)))]


def test_headers_that_never_end(tmp_path):
    urls, damages = read(tmp_path / "a.warc", record(0) + b"WARC/1.0\r\nWARC-Type: response\r\nContent-Le")
    assert urls == ["0"]
    assert [d.rule for d in damages] == ["truncated"]


def test_nothing_but_an_empty_file(tmp_path):
    assert read(tmp_path / "a.warc.gz", b"") == ([], [])


def test_ranges_that_meet_share_no_record_and_leave_none_out(tmp_path):
    path = tmp_path / "a.warc.gz"
    parts = members(40)
    parts[17] = parts[17][:30] + bytes(8) + parts[17][38:]
    data = b"".join(parts) + b"noise at the end"
    path.write_bytes(data)
    source = Source(path, path.name, "archive", len(data))
    expected = list(read_archive(path, path.name))
    for step in (97, 1000, 5000):
        edges = [*range(0, len(data), step)]
        slices = [Slice(source, a, b) for a, b in zip(edges, [*edges[1:], None], strict=True)]
        found = [one for piece in slices for one in read_archive(path, path.name, start=piece.start, stop=piece.stop)]
        assert found == expected


GZIPPED = gzip.compress(b"<p>hello</p>", mtime=0)
RAW = zlib.compress(b"<p>hello</p>")
BODIES = {
    "plain": ("", b"<p>hello</p>", ""),
    "gzip": ("Content-Encoding: gzip", GZIPPED, ""),
    "gzip that was undone before": ("Content-Encoding: gzip", b"<p>hello</p>", ""),
    "deflate": ("Content-Encoding: deflate", RAW, ""),
    "raw deflate": ("Content-Encoding: deflate", RAW[2:-4], ""),
    "brotli": ("Content-Encoding: br", brotli.compress(b"<p>hello</p>"), ""),
    "chunked": ("Transfer-Encoding: chunked", b"4\r\n<p>h\r\n8;x=y\r\nello</p>\r\n0\r\n\r\n", ""),
    "chunked that was undone before": ("Transfer-Encoding: chunked", b"<p>hello</p>", ""),
    "chunked gzip": (
        "Transfer-Encoding: chunked\r\nContent-Encoding: gzip",
        b"%x\r\n" % len(GZIPPED) + GZIPPED + b"\r\n0\r\n\r\n", "",
    ),
    "chunks without an end": ("Transfer-Encoding: chunked", b"4\r\n<p>h\r\n8\r\nello</p>\r\n", "the chunks"),
    "gzip cut short": ("Content-Encoding: gzip", GZIPPED[:-4], "ends early"),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_bodies_are_decoded(name):
    header, body, problem = BODIES[name]
    head = f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n" if header else "HTTP/1.1 200 OK\r\n\r\n"
    found = parse_response(head.encode() + body)
    assert found.body == b"<p>hello</p>"
    assert problem in found.problem
    assert bool(found.problem) == bool(problem)
