"""Reading WARC and ARC archives record by record, damaged ones included.

A record says how long it is. Where that is not true (the next record does not begin behind it), the next record is
looked for, the record is cut or extended to it, and a `Damage` is reported beside it; where a file is cut short or
cannot be inflated, the record in question is reported and lost, and reading goes on behind it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vlmkit.core.io.http import end_of_headers, is_whole, parse_headers
from vlmkit.core.io.inflate import MAGIC, Damage, next_member, open_input, pieces
from vlmkit.core.io.stream import Stream

MAX_HEAD = 1 << 20  # bytes of a record's own headers
MAX_RECORD = 1 << 28  # a longer record is skipped and reported: it would not fit into bounded memory
AHEAD = 1 << 25  # bytes in which another record is looked for when one states a length beyond that
WARC_MARK = re.compile(rb"\nWARC/[01]\.\d{1,2}\r?\n[!-9;-~]+:")
ARC_HEAD = re.compile(
    rb"(\S.*) ((?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*|-) (\d{8,20}) (\S+)(?: \S+){0,6}? (-?\w+)\r?\n?$"
)
ARC_MARK = re.compile(
    rb"\n\n?(?=[a-z][a-z0-9.+-]*:\S.* (?:(?:\d{1,3}\.){3}\d{1,3}|-) \d{8,20} \S+(?: \S+){0,6} -?\w+\r?\n)"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its kind (response, resource, warcinfo …; arc_header), address, headers and block of bytes."""

    kind: str
    url: str
    headers: dict[str, str]  # names in lower case
    block: bytes
    offset: int


def read_archive(path: Path, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Record | Damage]:
    """Records of a WARC or ARC file, and what is damaged, in order.

    With `start` and `stop` only the records of that range of a gzip file: from the first member at or after `start`
    that begins a record up to the first at or after `stop`. Ranges that meet share no record and leave none out.
    """
    if start:
        found = next_member(path, start, stop or 1 << 62, b"WARC/")
        if found is None:
            return
        start = found
    stream = Stream(pieces(path, name, start=start))
    reader = _Arc(stream, name) if is_arc(stream.peek(512)) else _Warc(stream, name)
    while True:
        skip_blank(stream)
        offset, inner = stream.offset()
        if not stream.hold(1):
            gap = stream.take_gap()
            if gap is None:
                return
            yield gap
            continue
        if stop is not None and offset >= stop and not inner and stream.peek(5) == b"WARC/":
            return
        yield from reader.record(offset)


def is_arc(head: bytes) -> bool:
    """Whether a file's first line is an ARC header."""
    return bool(ARC_HEAD.match(head.lstrip(b"\r\n").partition(b"\n")[0]))


def is_archive(path: Path) -> bool:
    """Whether a file looks like a WARC or ARC file, compressed or not."""
    with open_input(path) as file:
        if file.read(len(MAGIC)) not in (MAGIC, b"WAR", b"fil"):
            return False
    head = Stream(pieces(path, path.name)).peek(512).lstrip(b"\r\n")
    return head.startswith(b"WARC/") or is_arc(head)


def skip_blank(stream: Stream) -> None:
    """Pass over line ends between records."""
    while stream.peek(1) in (b"\r", b"\n"):
        stream.skip(1)


class _Reader(ABC):
    """What WARC and ARC share: taking a block of a stated length, and finding the next record when it is wrong."""

    mark: re.Pattern[bytes]
    blank = 4  # bytes of line ends between records

    def __init__(self, stream: Stream, name: str) -> None:
        self.stream, self.name = stream, name

    @abstractmethod
    def record(self, offset: int) -> Iterator[Record | Damage]:
        """The record that begins here, and what of it is damaged."""

    def begins(self, ahead: bytes) -> bool:
        """Whether bytes begin a record."""
        return bool(self.mark.match(b"\n" + ahead))

    def lost(self, offset: int) -> Iterator[Damage]:
        """Bytes that belong to no record: skip to the next one."""
        skipped = len(self.stream.take(1)) + len(self.rest(MAX_RECORD))
        yield Damage(self.name, offset, "no_record", f"{skipped:,} bytes here belong to no record")

    def rest(self, limit: int, start: int = 0) -> bytes:
        """Bytes up to the next record, the next gap or the end, at most `limit`; without the line ends before it."""
        end = self.next_mark(limit, start)
        return self.stream.take(min(self.stream.hold(limit), limit) if end is None else end)

    def next_mark(self, limit: int, start: int = 0) -> int | None:
        """How far ahead the next record begins, or None."""
        seen = start
        while True:
            held = self.stream.hold(min(seen + (1 << 20), limit))
            ahead = self.stream.peek(held)
            if found := self.mark.search(ahead, max(seen - 1024, start)):
                return found.start() + 1
            if held <= seen or held >= limit:
                return None
            seen = held

    def block(self, length: int | None, offset: int) -> tuple[bytes | None, Damage | None]:
        """The block of a record: its bytes (None when they are lost) and what is wrong with it."""
        if length is None:
            return self.trimmed(self.rest(MAX_RECORD)), self.wrong(offset, "it states no usable length")
        if length > MAX_RECORD and self.next_mark(AHEAD) is None:
            skipped = self.stream.skip(length)
            return None, Damage(self.name, offset, "too_long", f"a record of {skipped:,} bytes was not read")
        if length > MAX_RECORD or self.stream.hold(length) < length:
            return self.short(length, offset)
        behind = self.stream.peek(512, ahead=length)
        after = behind.lstrip(b"\r\n")
        if not after or self.begins(after):
            return self.stream.take(length), None
        block = self.stream.peek(length)
        if self.noise_follows(block, behind):
            return self.stream.take(length), None
        inside = self.mark.search(block)
        if inside:
            found = self.trimmed(self.stream.take(inside.start() + 1))
            return found, self.wrong(offset, f"it states {length:,} bytes, the next record begins after {len(found):,}")
        found = self.trimmed(self.rest(MAX_RECORD, start=max(length - 2, 0)))
        return found, self.wrong(offset, f"it states {length:,} bytes, the next record begins after {len(found):,}")

    def noise_follows(self, block: bytes, behind: bytes) -> bool:
        """Whether a block ends where it should, in empty lines, and what comes then is no record."""
        whole_head = not block.startswith(b"HTTP/") or end_of_headers(block) < len(block)
        return self.blank == 4 and whole_head and behind.startswith(b"\r\n\r\n")

    def short(self, length: int, offset: int) -> tuple[bytes | None, Damage | None]:
        """A block that is not there as a whole: cut it at a record that it swallowed, or give it up."""
        held = min(self.stream.hold(min(length, AHEAD)), AHEAD) if length > MAX_RECORD else self.stream.hold(length)
        inside = self.mark.search(self.stream.peek(held))
        if inside:
            found = self.trimmed(self.stream.take(inside.start() + 1))
            return found, self.wrong(offset, f"it states {length:,} bytes, the next record begins after {len(found):,}")
        block = self.stream.take(held)
        gap = self.stream.take_gap()
        if is_whole(block):
            return block, gap or self.wrong(offset, f"it states {length:,} bytes, the file holds {held:,} more")
        cause = gap.reason if gap else "the file is cut short"
        rule = gap.rule if gap else "truncated"
        return None, Damage(
            self.name, offset, rule, f"only {held:,} of the record's {length:,} bytes are there: {cause}"
        )

    def wrong(self, offset: int, reason: str) -> Damage:
        """The report on a record that is read although its length is wrong."""
        return Damage(
            self.name, offset, "wrong_length", f"the record's length is wrong, it was read all the same: {reason}"
        )

    def trimmed(self, block: bytes) -> bytes:
        """A block without the line ends that part it from the next record."""
        for end in (b"\r\n\r\n", b"\n\n", b"\r\n", b"\n"):
            if len(end) <= self.blank and block.endswith(end):
                return block[: -len(end)]
        return block


class _Warc(_Reader):
    mark = WARC_MARK

    def record(self, offset: int) -> Iterator[Record | Damage]:
        """The record that begins here."""
        if self.stream.peek(5) != b"WARC/":
            yield from self.lost(offset)
            return
        head = self.head()
        if head is None:
            yield self.broken_head(offset)
            return
        headers = parse_headers(head)
        stated = headers.get("content-length", "")
        block, damage = self.block(int(stated) if stated.isdecimal() else None, offset)
        if damage:
            yield damage
        if block is not None:
            url = headers.get("warc-target-uri", "").strip().removeprefix("<").removesuffix(">").replace(" ", "%20")
            yield Record(headers.get("warc-type", "unknown").strip().lower(), url, headers, block, offset)

    def head(self) -> bytes | None:
        """The record's headers up to the empty line, or None when there is no such line."""
        crlf, lf = self.stream.find(b"\n\r\n", limit=MAX_HEAD), self.stream.find(b"\n\n", limit=1 << 12)
        ends = [end + size for end, size in ((crlf, 3), (lf, 2)) if end >= 0]
        return self.stream.take(min(ends)) if ends else None

    def broken_head(self, offset: int) -> Damage:
        """The report on headers that do not end."""
        held = len(self.stream.take(1)) + len(self.rest(MAX_HEAD))
        gap = self.stream.take_gap()
        cause = gap.reason if gap else "no empty line ends them"
        return Damage(
            self.name,
            offset,
            gap.rule if gap else "truncated",
            f"a record's headers stop after {held:,} bytes: {cause}",
        )


class _Arc(_Reader):
    mark = ARC_MARK
    blank = 1

    def record(self, offset: int) -> Iterator[Record | Damage]:
        """The record that begins here: one line of fields, the last of them its length, and the block."""
        found = ARC_HEAD.match(self.stream.peek(1 << 14).partition(b"\n")[0])
        if not found:
            yield from self.lost(offset)
            return
        self.stream.line(limit=MAX_HEAD)
        url, address, date, kind, stated = (field.decode("utf-8", "replace") for field in found.groups())
        block, damage = self.block(int(stated) if stated.isdecimal() else None, offset)
        if damage:
            yield damage
        if block is not None:
            headers = {"content-type": kind, "warc-date": date, "warc-ip-address": address}
            if url.startswith("filedesc:"):
                yield Record("arc_header", url, headers, b"", offset)
            else:
                yield Record("response", url.replace(" ", "%20"), headers, block, offset)
