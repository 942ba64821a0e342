"""Writing WARC/1.1 files: one gzip member a record, and the same bytes for the same records."""

import base64
import gzip
import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vlmkit.core.io.files import atomic

FIRST_VISIT = datetime(2024, 1, 1, tzinfo=UTC)  # a made-up crawl has made-up dates: one second a record


@dataclass(frozen=True)
class Response:
    """A page as a server sends it."""

    url: str
    body: bytes
    content_type: str = "text/html; charset=utf-8"


def write_warc(path: Path, responses: Iterable[Response], *, software: str) -> int:
    """Write responses as a gzipped WARC file, atomically; the number of responses is returned."""
    count = 0
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(_member(_warcinfo(path.name, software)))
        for count, response in enumerate(responses, start=1):
            file.write(_member(_record(response, FIRST_VISIT + timedelta(seconds=count))))
    return count


def _record(response: Response, when: datetime) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n\r\n"
    digest = base64.b32encode(hashlib.sha1(response.body, usedforsecurity=False).digest()).decode()
    fields = {
        "WARC-Type": "response",
        "WARC-Target-URI": response.url,
        "WARC-Payload-Digest": f"sha1:{digest}",
        "WARC-Identified-Payload-Type": response.content_type.partition(";")[0],
        "Content-Type": "application/http; msgtype=response",
    }
    return _block(fields, head.encode() + response.body, when, name=response.url)


def _warcinfo(name: str, software: str) -> bytes:
    fields = {"WARC-Type": "warcinfo", "WARC-Filename": name, "Content-Type": "application/warc-fields"}
    return _block(fields, f"software: {software}\r\nformat: WARC File Format 1.1\r\n".encode(), FIRST_VISIT, name=name)


def _block(fields: dict[str, str], content: bytes, when: datetime, *, name: str) -> bytes:
    fields = {
        **fields,
        "WARC-Record-ID": f"<{uuid.uuid5(uuid.NAMESPACE_URL, name).urn}>",
        "WARC-Date": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Content-Length": str(len(content)),
    }
    head = "WARC/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in fields.items()) + "\r\n"
    return head.encode() + content + b"\r\n\r\n"


def _member(record: bytes) -> bytes:
    return gzip.compress(record, compresslevel=6, mtime=0)
