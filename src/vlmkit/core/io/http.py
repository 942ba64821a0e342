"""HTTP responses as crawlers store them: status, headers, and a body whose transfer and content encodings are undone.

Crawlers often store a body already decoded beside headers that say otherwise, so a body is decoded only where it looks
encoded; what is damaged is said, and as much as can be decoded is kept.
"""

import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

import brotli
import zstandard

MAX_BODY = 1 << 25  # bytes of a decoded body: a small one may pretend to be of any size
TOO_LONG = f"the decoded body is longer than {MAX_BODY:,} bytes"
CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
STATUS = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})")


class Response(NamedTuple):
    """A response: status (0 when there is none), headers with names in lower case, decoded body, what is wrong."""

    status: int
    headers: dict[str, str]
    body: bytes
    problem: str


def parse_response(block: bytes) -> Response:
    """Take a stored response apart and decode its body; a block without HTTP headers is a body."""
    found = STATUS.match(block)
    if not found:
        return Response(0, {}, block if block.strip() else b"", "")
    end = end_of_headers(block)
    headers = parse_headers(block[:end])
    body, problem = block[end:], ""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body, problem = unchunk(body)
    for coding in reversed(headers.get("content-encoding", "").lower().replace(" ", "").split(",")):
        body, more = decompress(body, coding)
        problem = problem or more
    return Response(int(found[1]), headers, body, problem)


def unchunk(body: bytes) -> tuple[bytes, str]:
    """Undo chunked transfer encoding; a body that does not begin with a chunk's size was decoded before."""
    parts: list[bytes] = []
    place = 0
    while found := CHUNK.match(body, place):
        size = int(found[1], 16)
        if not size:
            return b"".join(parts), ""
        if not parts and found.end() + size > len(body):
            return body, ""
        parts.append(body[found.end() : found.end() + size])
        place = found.end() + size
        place += 2 if body[place : place + 2] == b"\r\n" else body[place : place + 1] == b"\n"
    if not parts:
        return body, ""
    return b"".join(parts), "the chunks of the body end before the last one"


def decompress(body: bytes, coding: str) -> tuple[bytes, str]:
    """Undo a content coding, where the body is in it; (body, what is wrong)."""
    if coding in ("gzip", "x-gzip", "deflate"):
        if body[:2] == b"\x1f\x8b":
            return inflate(body, 31)
        if coding == "deflate" and body:
            zlib_head = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
            found, problem = inflate(body, 15 if zlib_head else -15)
            return (found, problem) if found else (body, "")
    if coding == "br":
        return unpack(body, brotli.Decompressor().process, 64, brotli.error) or (body, "")
    if coding == "zstd" and body[:4] == b"\x28\xb5\x2f\xfd":
        decode = zstandard.ZstdDecompressor().decompressobj().decompress
        return unpack(body, decode, 1024, zstandard.ZstdError) or (b"", "the body's zstd is damaged")
    return body, ""


def unpack(
    body: bytes, decode: Callable[[bytes], bytes], size: int, fault: type[Exception]
) -> tuple[bytes, str] | None:
    """A body decoded in pieces of `size` bytes, few enough that one of them cannot fill the memory; None if it is not
    in this coding."""
    found = bytearray()
    try:
        for start in range(0, len(body), size):
            found += decode(body[start : start + size])
            if len(found) > MAX_BODY:
                return bytes(found[:MAX_BODY]), TOO_LONG
    except fault:
        return None
    return bytes(found), ""


def inflate(body: bytes, wbits: int) -> tuple[bytes, str]:
    """As much as zlib can decode, and what stopped it."""
    decoder, found = zlib.decompressobj(wbits), bytearray()
    try:
        for start in range(0, len(body), 1 << 14):
            found += decoder.decompress(body[start : start + (1 << 14)])
            if len(found) > MAX_BODY:
                return bytes(found[:MAX_BODY]), TOO_LONG
    except zlib.error as error:
        return bytes(found), f"the body's compression is damaged: {error}"
    return bytes(found), "" if decoder.eof else "the body's compression ends early"


def is_whole(block: bytes) -> bool:
    """Whether a stored response is as long as its own Content-Length says."""
    if not STATUS.match(block):
        return False
    end = end_of_headers(block)
    stated = parse_headers(block[:end]).get("content-length", "")
    return stated.isdecimal() and len(block) - end >= int(stated)


def end_of_headers(block: bytes) -> int:
    """Where the empty line behind the headers ends, or the end of the block when there is none."""
    ends = [end + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (end := block.find(mark)) >= 0]
    return min(ends, default=len(block))


def parse_headers(head: bytes) -> dict[str, str]:
    """Header lines as names in lower case and values; the first line (status or version) is left out."""
    headers: dict[str, str] = {}
    last = ""
    for line in head.decode("utf-8", "replace").splitlines()[1:]:
        if line[:1] in (" ", "\t") and last:
            headers[last] += f" {line.strip()}"
        elif ":" in line:
            last, _, value = line.partition(":")
            last = last.strip().lower()
            headers.setdefault(last, value.strip())
    return headers
