"""A buffer over pieces of a file: look ahead, take lines and runs of bytes, know where one is, stop at gaps."""

from collections.abc import Iterator

from vlmkit.core.io.inflate import Damage, Piece

COMPACT = 4 << 20  # bytes already used that are kept before the buffer is moved up


class Stream:
    """Bytes to come, gathered from pieces. A damaged place is a gap: nothing is read across it until it is taken."""

    def __init__(self, source: Iterator[Piece | Damage]) -> None:
        self._source = source
        self._buffer = bytearray()
        self._base = self._used = 0  # bytes dropped so far; bytes at the front of the buffer that are already used
        self._marks: list[tuple[int, int, bool]] = []  # (place in the stream, offset in the file, within a member)
        self._gap: Damage | None = None
        self._ended = False

    def hold(self, size: int) -> int:
        """Gather at least `size` bytes if they are there before the next gap or the end; how many are held."""
        while len(self._buffer) - self._used < size and self._gap is None and not self._ended:
            piece = next(self._source, None)
            if piece is None:
                self._ended = True
            elif isinstance(piece, Damage):
                self._gap = piece
            elif piece.data:
                if not self._marks or self._marks[-1][1] != piece.offset:
                    self._marks.append((self._base + len(self._buffer), piece.offset, piece.member))
                self._buffer += piece.data
        return len(self._buffer) - self._used

    def take_gap(self) -> Damage | None:
        """The gap that stops the stream, if one does; taking it lets reading go on behind it."""
        gap, self._gap = self._gap, None
        return gap

    def peek(self, size: int, *, ahead: int = 0) -> bytes:
        """The next bytes, or those from `ahead` on, without using them up; fewer at a gap or the end."""
        held = min(self.hold(ahead + size), ahead + size)
        with memoryview(self._buffer) as view:
            return bytes(view[self._used + ahead : self._used + held])

    def take(self, size: int) -> bytes:
        """The next bytes; fewer at a gap or the end."""
        data = self.peek(size)
        self.skip(len(data))
        return data

    def skip(self, size: int) -> int:
        """Use up bytes without copying or keeping them; how many there were."""
        left = size
        while left and (held := min(self.hold(1), left)):
            self._used += held
            left -= held
            if self._used >= COMPACT:
                self._compact()
        return size - left

    def find(self, needle: bytes, *, limit: int, start: int = 0) -> int:
        """How far ahead a needle is, or -1 when it is not within `limit` bytes, or not before the next gap or end."""
        seen = start
        while True:
            held = self.hold(seen + 1)
            found = self._buffer.find(needle, self._used + max(seen - len(needle) + 1, start))
            if found >= 0:
                return found - self._used
            if held <= seen or held >= limit:
                return -1
            seen = held

    def line(self, *, limit: int) -> bytes:
        """The next line with its line feed; without one at a gap, at the end, or after `limit` bytes."""
        end = self.find(b"\n", limit=limit)
        return self.take(end + 1 if end >= 0 else min(self.hold(limit), limit))

    def offset(self) -> tuple[int, int]:
        """Where the next byte is: the offset in the file of its member or piece, and how many bytes into it."""
        self.hold(1)
        here = self._base + self._used
        place, offset, member = next((m for m in reversed(self._marks) if m[0] <= here), (0, 0, False))
        return (offset, here - place) if member else (offset + here - place, 0)

    def _compact(self) -> None:
        del self._buffer[: self._used]
        self._base, self._used = self._base + self._used, 0
        while len(self._marks) > 1 and self._marks[1][0] <= self._base:
            del self._marks[0]
