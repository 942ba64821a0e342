"""Lists of archives, below a folder or behind an address whose server loses connections."""

import gzip
import json
import shutil
import zlib
from collections import Counter
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow.parquet as pq
import pytest

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate import parts
from vlmkit.core.errors import CapabilityError, InputError, RunError
from vlmkit.core.io import remote
from vlmkit.core.io.lists import read_lists
from vlmkit.core.recipes.curate import run

NAMES = [f"crawl-data/CC-MAIN-2024-10/wet/{name}.warc.wet.gz" for name in ("one", "two", "three")]


def wet(texts: list[str]) -> bytes:
    """A WET file: a warcinfo record, then one of kind `conversion` a text."""
    records = [("warcinfo", "application/warc-fields", "Software-Info: none\r\n")]
    records += [("conversion", "text/plain", text) for text in texts]
    members = []
    for number, (kind, content, text) in enumerate(records):
        head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://a.org/{number}\r\n"
        head += "WARC-Identified-Content-Language: eng\r\n"
        block = text.encode()
        head += f"Content-Type: {content}\r\nContent-Length: {len(block)}\r\n\r\n"
        members.append(gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0))
    return b"".join(members)


@pytest.fixture
def mirror(tmp_path) -> Path:
    """A mirror of three WET files, beside a list of them in another order, each of about 80 kB."""
    root = tmp_path / "mirror"
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        texts = [f"{name} {i} " + "".join(f"{(i * 7919 + k * k * 31) % 99991} " for k in range(600)) for i in range(60)]
        (root / name).write_bytes(wet(["HTTP/1.1 404 is what this page is about.\n\nIts end.", *texts]))
    (root / "wet.paths.gz").write_bytes(gzip.compress("".join(f"{name}\n" for name in NAMES[::-1]).encode()))
    return root


class Flaky(BaseHTTPRequestHandler):
    """A server of files that closes each connection after some bytes, and takes ranges up again."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *words, root: Path, after: int, seen: Counter) -> None:
        self.root, self.after, self.seen = root, after, seen
        super().__init__(*words)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.root / self.path.lstrip("/")
        data = path.read_bytes() if path.is_file() else b""
        tag = f'"{zlib.crc32(data)}"'
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1]) if self.headers.get("If-Range", tag) == tag else 0
        self.seen[self.command, self.path.rpartition("/")[2]] += 1
        status = 404 if not path.is_file() else 416 if begin and begin >= len(data) else 206 if begin else 200
        self.send_response(status)
        self.send_header("ETag", tag)
        self.send_header("Content-Range", f"bytes {'*' if status == 416 else f'{begin}-{len(data) - 1}'}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin if status < 400 else 0))
        self.end_headers()
        if body and status < 400:
            sent = data[begin : begin + self.after]
            self.seen["bytes", ""] += len(sent)
            self.wfile.write(sent)
        self.close_connection = True

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def serve(mirror, monkeypatch):
    """Serve the mirror, losing connections after some bytes; the address, and what was asked for."""
    monkeypatch.setattr(remote, "PAUSE_S", 0.001)
    servers = []

    def start(after: int) -> tuple[str, Counter]:
        seen: Counter = Counter()
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Flaky, root=mirror, after=after, seen=seen))
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def curate(given: Path, out: Path, **settings: object) -> dict[str, bytes]:
    run(CurateConfig(inputs=(given,), out=out, **{"workers": 1, "stages": ("extract",), **settings}))
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.parquet")}


def test_a_list_gives_the_same_documents_from_its_folder_another_and_an_address(tmp_path, mirror, serve):
    listed = mirror / "wet.paths.gz"
    beside = curate(listed, tmp_path / "beside")
    rows = pq.read_table(tmp_path / "beside/documents").to_pylist()
    assert len(rows) == 183
    assert [row["source"] for row in rows] == sorted(row["source"] for row in rows)
    assert {row["source"] for row in rows} == set(NAMES)
    assert rows[0]["text"] == "HTTP/1.1 404 is what this page is about.\n\nIts end."
    away = tmp_path / "away.paths"
    away.write_text("\n".join(NAMES))
    assert curate(away, tmp_path / "away", cc_root=str(mirror)) == beside
    address, seen = serve(30_000)
    assert curate(away, tmp_path / "loaded", cc_root=address) == beside
    assert seen["bytes", ""] == sum((mirror / name).stat().st_size for name in NAMES)
    assert seen["GET", "one.warc.wet.gz"] > 2


def test_a_killed_run_loads_no_byte_twice(tmp_path, mirror, serve, monkeypatch):
    address, seen = serve(30_000)
    want = curate(mirror / "wet.paths.gz", tmp_path / "whole")
    size = sum((mirror / name).stat().st_size for name in NAMES)
    words = {"cc_root": address}
    for most in (20_000, 90_000):

        def lose(request, *rest, limit=most, real=remote.ask, **others):
            if seen["bytes", ""] > limit:
                raise KeyboardInterrupt
            return real(request, *rest, **others)

        with monkeypatch.context() as patch:
            patch.setattr(remote, "ask", lose)
            patch.setattr(remote, "size_of", lambda address: (mirror / address.split("/", 3)[3]).stat().st_size)
            with pytest.raises(KeyboardInterrupt):
                curate(mirror / "wet.paths.gz", tmp_path / "out", **words)
    assert list((tmp_path / "out/.vlmkit/loaded").iterdir())
    assert curate(mirror / "wet.paths.gz", tmp_path / "out", **words) == want
    assert seen["bytes", ""] == size


def test_a_file_that_changes_while_it_is_loaded_is_loaded_anew(tmp_path, mirror, serve):
    (mirror / "file").write_bytes(b"1" * 5000)
    address = f"{serve(after=2000)[0]}/file"
    assert not remote.load_on(address, tmp_path / "file.part", 0)
    (mirror / "file").write_bytes(b"2" * 5000)
    remote.load(address, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"2" * 5000


def test_a_run_does_not_go_on_when_files_behind_an_address_have_other_sizes(tmp_path, mirror, serve, monkeypatch):
    words = {"cc_root": serve(10_000_000)[0]}

    def stop(*words: object, **others: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vlmkit.core.recipes.curate.judge", stop)
        with pytest.raises(KeyboardInterrupt):
            curate(mirror / "wet.paths.gz", tmp_path / "out", **words)
    (mirror / NAMES[1]).write_bytes(wet(["another text"]))
    with pytest.raises(InputError, match="other sizes"):
        curate(mirror / "wet.paths.gz", tmp_path / "out", **words)
    shutil.rmtree(tmp_path / "out")
    curate(mirror / "wet.paths.gz", tmp_path / "out", **words)
    texts = [str(one) for one in pq.read_table(tmp_path / "out/documents", columns=["text"])["text"]]
    assert "another text" in texts


def test_loaded_files_are_forgotten_when_their_part_is_done(tmp_path, mirror, serve, monkeypatch):
    address, _ = serve(1 << 20)
    monkeypatch.setattr("vlmkit.core.io.sources.SMALLEST_PART", 1000)
    real, held = parts.write_json, []

    def watched(path, record):
        real(path, record)
        held.append(len([one for one in path.parents[2].glob("loaded/*") if one.suffix != ".tag"]))

    monkeypatch.setattr(parts, "write_json", watched)
    curate(mirror / "wet.paths.gz", tmp_path / "out", cc_root=address)
    assert held == [1, 1, 1]


def test_what_is_missing_is_named_before_the_first_page(tmp_path, mirror, serve):
    (mirror / NAMES[1]).unlink()
    address, _ = serve(1 << 20)
    for root in (None, str(mirror), address):
        with pytest.raises(InputError) as error:
            curate(mirror / "wet.paths.gz", tmp_path / "out", cc_root=root)
        assert f"1 of 3 files of this list are missing: {NAMES[1]}" in str(error.value)
        assert not (tmp_path / "out").exists()


def test_a_server_that_never_sends_a_byte_ends_the_run(tmp_path, mirror, serve):
    address, seen = serve(0)
    with pytest.raises(RunError, match="cannot be loaded"):
        curate(mirror / "wet.paths.gz", tmp_path / "out", cc_root=address)
    assert seen["GET", "one.warc.wet.gz"] == remote.TRIES
    with pytest.raises(CapabilityError, match="no answer"):
        curate(mirror / "wet.paths.gz", tmp_path / "other", cc_root="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("lines", "root", "what"),
    [
        ("", None, "names no file"),
        ("a.warc.wat.gz\n", None, "no path of an archive"),
        ("https://a.org/a.warc.gz\n", None, "no path of an archive"),
        ("a.warc.gz\n", "s3://commoncrawl", "'s3' is no kind of address"),
        ("a.warc.gz\n", "nowhere", "there is no folder"),
    ],
)
def test_lists_and_roots_that_are_refused(tmp_path, lines, root, what):
    (tmp_path / "warc.paths").write_text(lines)
    with pytest.raises(InputError, match=what):
        read_lists([tmp_path / "warc.paths"], root)


def test_a_root_without_a_list_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a"}))
    with pytest.raises(InputError, match="no input is a list"):
        curate(tmp_path / "a.jsonl", tmp_path / "out", cc_root=str(tmp_path))
