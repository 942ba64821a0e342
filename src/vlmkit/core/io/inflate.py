"""Bytes of files that may be compressed, piece by piece, going on after damage.

A gzip file is a row of members, each with its own beginning. Where a member is damaged, cut short or followed by
something else, the reader says so with its offset, looks for the next beginning and goes on there.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import zstandard

from vlmkit.core.errors import InputError

BLOCK = 1 << 20  # bytes read at once
ZSTD_BLOCK = 1 << 13  # the same for zstd, which may give 32,768 times as many
SAMPLE = 1 << 12  # bytes that show whether a gzip member begins
MAGIC = b"\x1f\x8b\x08"
ZSTD, ZSTD_SKIPPED = b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18"  # the latter behind a byte 0x50 to 0x5f


class Piece(NamedTuple):
    """Bytes, and where they lie: the offset in the file of the gzip member they come from, or else their own."""

    data: bytes
    offset: int
    member: bool


class Damage(NamedTuple):
    """Something that cannot be read as it should: the file, the offset in it, which rule, and a sentence on what."""

    source: str
    offset: int
    rule: str
    reason: str


def pieces(path: Path, name: str, *, start: int = 0) -> Iterator[Piece | Damage]:
    """Decompressed bytes of a file from an offset on; gzip and zstd are recognised by their first bytes."""
    with open_input(path) as file:
        head = file.read(4)
        file.seek(start)
        if head.startswith(MAGIC[:2]):
            yield from Members(file, name, start).read()
        elif head == ZSTD or (head[1:] == ZSTD_SKIPPED and head[0] >> 4 == 5):
            yield from _zstd(file, name)
        else:
            while data := file.read(BLOCK):
                yield Piece(data, file.tell() - len(data), False)


def open_input(path: Path) -> BinaryIO:
    """Open a file that a user named, or say what is wrong with it."""
    try:
        return path.open("rb")
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path), fix="check the path") from error


def _zstd(file: BinaryIO, name: str) -> Iterator[Piece | Damage]:
    frames = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    frame, done, fresh = frames.decompressobj(), 0, True
    while data := file.read(ZSTD_BLOCK):
        while data:
            try:
                out = frame.decompress(data)
            except zstandard.ZstdError as error:
                yield Damage(name, file.tell(), "damaged_zstd", f"zstd cannot go on after {done:,} bytes: {error}")
                frame, fresh, data = frames.decompressobj(), True, _next_frame(file, data[1:])
                continue
            yield Piece(out, done, False)
            done, data, fresh = done + len(out), frame.unused_data, frame.eof
            frame = frames.decompressobj() if frame.eof else frame
    if not fresh:
        yield Damage(name, file.tell(), "truncated", f"a zstd frame ends before its end, after {done:,} bytes of text")


def _next_frame(file: BinaryIO, held: bytes) -> bytes:
    """What has been read from the next zstd frame on; nothing when there is none."""
    while (found := held.find(ZSTD)) < 0:
        data = file.read(ZSTD_BLOCK)
        if not data:
            return b""
        held = held[-3:] + data
    return held[found:]


class Members:
    """The members of a gzip file, read forward once."""

    def __init__(self, file: BinaryIO, name: str, start: int) -> None:
        self.file, self.name = file, name
        self.held, self.base = b"", start  # bytes read but not used, and their offset in the file

    def read(self) -> Iterator[Piece | Damage]:
        """Pieces of all members in order, with what is damaged between them."""
        while self._more(18):
            if self.held.startswith(MAGIC):
                yield from self._member()
                continue
            begin = self.base
            rest = self._skip_to_member()
            if rest.strip(b"\0"):  # zeros are padding
                size = self.base - begin
                yield Damage(self.name, begin, "not_gzip", f"{size:,} bytes between or after gzip members are not gzip")

    def _member(self) -> Iterator[Piece | Damage]:
        begin, starts = self.base, True
        inflate = zlib.decompressobj(wbits=31)
        while not inflate.eof:
            try:
                self._more(1)
                data = inflate.decompress(self.held, BLOCK * 4)
            except zlib.error as error:
                yield Damage(self.name, begin, "damaged_gzip", f"a gzip member cannot be read on: {error}")
                self._drop(1 if starts else 0)
                self._skip_to_member()
                return
            self._drop(len(self.held) - len(inflate.unused_data or inflate.unconsumed_tail))
            if not data and not self._more(1) and not inflate.eof:
                yield Damage(self.name, begin, "truncated", "a gzip member ends before its end: the file is cut short")
                return
            yield Piece(data, begin, True)
            starts = False

    def _skip_to_member(self) -> bytes:
        """Move to the next bytes that can be inflated; a sample of what was skipped is returned."""
        sample = b""
        while self._more(64):
            found = self.held.find(MAGIC)
            if found < 0:
                sample = sample or self.held[:64].strip(b"\0")
                self._drop(max(len(self.held) - 2, 1))
                continue
            sample = sample or self.held[:found].strip(b"\0")[:64]
            self._drop(found)
            self._more(SAMPLE)
            if begins_member(self.held):
                return sample
            self._drop(1)
        sample = sample or self.held[:64].strip(b"\0")
        self._drop(len(self.held))
        return sample

    def _more(self, size: int) -> bool:
        """Hold at least `size` bytes if the file has them; false when nothing is left at all."""
        while len(self.held) < size:
            data = self.file.read(BLOCK)
            if not data:
                break
            self.held += data
        return bool(self.held)

    def _drop(self, size: int) -> None:
        self.held, self.base = self.held[size:], self.base + size


def begins_member(data: bytes, prefix: bytes = b"") -> bool:
    """Whether bytes begin a gzip member that can be inflated, and that begins with `prefix`."""
    if not data.startswith(MAGIC):
        return False
    try:
        return zlib.decompressobj(wbits=31).decompress(data[:SAMPLE], 64 + len(prefix)).startswith(prefix)
    except zlib.error:
        return False


def next_member(path: Path, start: int, stop: int, prefix: bytes) -> int | None:
    """The offset in [start, stop) of the first gzip member that begins with `prefix`, or None."""
    with open_input(path) as file:
        file.seek(start)
        held, base = b"", start
        while base < stop:
            data = file.read(BLOCK)
            held += data
            limit = len(held) - (SAMPLE if data else 0)
            found = held.find(MAGIC)
            while 0 <= found < limit and base + found < stop:
                if begins_member(held[found : found + SAMPLE], prefix):
                    return base + found
                found = held.find(MAGIC, found + 1)
            if not data:
                return None
            held, base = held[max(limit, 0) :], base + max(limit, 0)
        return None
