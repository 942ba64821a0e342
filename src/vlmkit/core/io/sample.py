"""A sample of the pages of an input, spread evenly over it, with how many pages each of them stands for.

A small input is read through, and every n-th page taken. Of a large one, files that can be entered in their middle
(JSON Lines; WARC with a gzip member for each record) are sampled by windows of bytes at even distances: all pages that
begin in a window are taken, so that a page is as likely to be taken as any other, whatever its size (Horvitz and
Thompson 1952). HTML files are taken at even distances, one page each, and tables by their rows. Other files are read
from their beginning on, which is all that can be said of them for little work.
"""

import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import NamedTuple

import zstandard

from vlmkit.core.io.inflate import MAGIC, ZSTD, Damage, next_member
from vlmkit.core.io.sources import Slice, Source
from vlmkit.core.io.tables import open_part
from vlmkit.core.io.web import Page, Reading, read_slice

MOST = 300  # pages of a sample
HELD = 64 << 20  # bytes of pages that are held
WINDOWS, CHUNK = 40, 8  # places to look at; pages read in a row that count as one place
LEAST = 20  # pages of each kind of file
THROUGH, MANY = 32 << 20, 1000  # bytes and files that are read through to count their pages
LOOK = 8 << 20  # compressed bytes that say how far a file is compressed
BOMB = 256 << 20  # decompressed bytes after which the looking ends
Found = Page | Damage


class Stretch(NamedTuple):
    """Pages in a row; how much of the input they were found in, how much of it they stand for, both in one unit; and
    whether the input's pages are counted rather than estimated."""

    pages: list[Found]
    extent: float
    stands: float
    counted: bool = False

    @property
    def weight(self) -> float:
        """How many pages of the input each page stands for."""
        return self.stands / self.extent


@dataclass
class Sample:
    """Stretches of pages; whether they are the whole input; how many files were read at their beginning only; and how
    long a page took to be read."""

    stretches: list[Stretch]
    whole: bool = False
    fronts: int = 0
    seconds_a_page: float = 0.0

    @property
    def count(self) -> int:
        """How many pages it has."""
        return sum(len(one.pages) for one in self.stretches)

    @property
    def pages(self) -> float:
        """About how many pages the input has."""
        return sum(len(one.pages) * one.weight for one in self.stretches)

    @property
    def error(self) -> float:
        """The standard error of that number, from how the density of pages varies between stretches."""
        rows = [one for one in self.stretches if not one.counted]
        if self.whole or not rows:
            return 0.0
        if len(rows) == 1:
            return self.pages  # nothing is known
        stands = sum(one.stands for one in rows)
        density = sum(len(one.pages) * one.weight for one in rows) / stands
        spread = sum((one.stands * (len(one.pages) / one.extent - density)) ** 2 for one in rows)
        left = max(0.0, 1 - self.count / max(self.pages, 1))
        return float((spread * len(rows) / (len(rows) - 1) * left) ** 0.5)


def draw(sources: Sequence[Source], reading: Reading, *, most: int = MOST) -> Sample:
    """A sample of about `most` pages, fewer where pages are large; the whole input where it has no more."""
    clock = _Clock(reading)
    found, ended = clock.read(((one, 0, None) for one in sources), most)
    if ended:
        return Sample([Stretch(found, 1, 1, counted=True)], True, 0, clock.seconds_a_page)
    most = min(most, max(LEAST, len(found)))
    groups: dict[str, list[Source]] = defaultdict(list)
    for one in sources:
        groups[one.format if one.format in KINDS else "rest"].append(one)
    size = max(1, sum(one.size for one in sources))
    sample = Sample([])
    for kind, group in groups.items():
        share = max(LEAST, round(most * sum(one.size for one in group) / size))
        KINDS[kind](group, clock, share, sample)
    sample.seconds_a_page = clock.seconds_a_page
    return sample


class _Clock:
    """Reads pages and counts the seconds that this takes."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.pages, self.seconds = 0, 0.0

    @property
    def seconds_a_page(self) -> float:
        return self.seconds / max(self.pages, 1)

    def read(self, slices: "Iterator[tuple[Source, int, int | None]]", most: int) -> tuple[list[Found], bool]:
        """At most so many pages of slices, and whether these were all; more than HELD bytes end it, too."""
        begun = time.perf_counter()
        found: list[Found] = []
        held, ended = 0, False
        every = (page for one in slices for page in read_slice(Slice(*one), self.reading))
        for page in every:
            if len(found) == most or held >= HELD:
                break
            found.append(page)
            held += size_of(page)
        else:
            ended = True
        self.pages += len(found)
        self.seconds += time.perf_counter() - begun
        return found, ended

    def thin(self, sources: Sequence[Source], most: int) -> tuple[list[Found], int]:
        """Every n-th page of all pages of files, at most so many, and how many pages there are."""
        begun = time.perf_counter()
        found: list[Found] = []
        held, step, count = 0, 1, 0
        for source in sources:
            for page in read_slice(Slice(source), self.reading):
                if count % step == step // 2:
                    found.append(page)
                    held += size_of(page)
                count += 1
                while len(found) > 1 and (len(found) > most or held > HELD):
                    found, step = found[1::2], 2 * step
                    held = sum(map(size_of, found))
        self.pages += count
        self.seconds += time.perf_counter() - begun
        return found, count


def size_of(page: Found) -> int:
    """Bytes of a page's content."""
    if isinstance(page, Damage):
        return 0
    return len(page.html) if page.html is not None else len((page.text or "").encode("utf-8", "surrogatepass"))


def by_file(sources: Sequence[Source], clock: _Clock, most: int, sample: Sample) -> None:
    """HTML files at even distances."""
    count = min(most, len(sources))
    for place in range(count):
        source = sources[(2 * place + 1) * len(sources) // (2 * count)]
        found, _ = clock.read(iter([(source, 0, None)]), 2)
        sample.stretches.append(Stretch(found, 1, len(sources) / count, counted=True))


def by_row(sources: Sequence[Source], clock: _Clock, most: int, sample: Sample) -> None:
    """The first rows of row groups at even distances."""
    groups = []
    for source in sources:
        meta = open_part(source.path, None).metadata
        groups += [
            ((source, number, number + 1), meta.row_group(number).num_rows) for number in range(meta.num_row_groups)
        ]
    rows = sum(count for _, count in groups)
    for number, times in places(range(len(groups)), [count for _, count in groups], WINDOWS):
        found, _ = clock.read(iter([groups[number][0]]), len(times) * max(1, most // WINDOWS))
        if found:
            sample.stretches.append(Stretch(found, len(found), rows * len(times) / WINDOWS, counted=True))


def by_bytes(sources: Sequence[Source], clock: _Clock, most: int, sample: Sample) -> None:
    """Windows at even distances; of files that cannot be entered, the beginning."""
    sizes = [source.size for source in sources]
    total = sum(sizes)
    chosen = [(sources[number], offsets) for number, offsets in places(range(len(sources)), sizes, WINDOWS)]
    entered = [one for one in chosen if enterable(one[0])]
    width = window(entered, clock, most, total)
    for source, offsets in chosen:
        stands = total / WINDOWS
        if (source, offsets) not in entered and source.size <= THROUGH // WINDOWS:
            found, count = clock.thin([source], len(offsets) * -(-most // WINDOWS))
            extent = source.size * len(found) / max(count, 1)
            sample.stretches.append(Stretch(found, extent or 1, stands * len(offsets)))
        elif (source, offsets) not in entered:
            sample.fronts += front(source, clock, len(offsets) * -(-most // WINDOWS), stands * len(offsets), sample)
        elif source.size <= 2 * width:
            sample.stretches.append(cut(source, 0, source.size, clock, most, stands * len(offsets)))
        else:
            for offset in offsets:
                start = offset * (source.size - width) // source.size
                sample.stretches.append(cut(source, start, start + width, clock, most, stands))


def by_reading(sources: Sequence[Source], clock: _Clock, most: int, sample: Sample) -> None:
    """Pages at even distances of small files, all of which are read; of larger ones, `by_bytes`."""
    if sum(source.size for source in sources) > THROUGH or len(sources) > MANY:
        by_bytes(sources, clock, most, sample)
        return
    found, count = clock.thin(sources, 2 * most)
    some = min(most, len(found))
    for place in range(some):
        page = found[(2 * place + 1) * len(found) // (2 * some)]
        sample.stretches.append(Stretch([page], 1, count / some, counted=True))


def places(numbers: Sequence[int], sizes: Sequence[int], count: int) -> Iterator[tuple[int, list[int]]]:
    """Even places along things of some sizes laid end to end: the number of each thing that is met, and where in it."""
    total, end, at = sum(sizes), 0, 0
    for number, size in zip(numbers, sizes, strict=True):
        start, end, inside = end, end + size, []
        while at < count and (place := (2 * at + 1) * total // (2 * count)) < end:
            inside.append(place - start)
            at += 1
        if inside:
            yield number, inside


def window(chosen: Sequence[tuple[Source, list[int]]], clock: _Clock, most: int, total: int) -> int:
    """How many bytes a window has, so that all of them together hold about `most` pages."""
    densities = []
    for source, offset in [(source, offset) for source, offsets in chosen for offset in offsets]:
        found, _ = clock.read(iter([(source, offset, None)]), CHUNK + 1)
        span = found[-1].offset - found[0].offset if len(found) > 1 else 0
        if span > 0:
            densities.append((len(found) - 1) / span)
    density = sum(densities) / len(densities) if densities else most / max(total, 1)
    return max(1, min(round(most / density / WINDOWS), total // (2 * WINDOWS)))  # so that no two meet


def cut(source: Source, start: int, stop: int, clock: _Clock, most: int, stands: float) -> Stretch:
    """The pages that begin in a window; where there are too many, the first of them, and less of a window."""
    most = max(CHUNK, 10 * most // WINDOWS)
    found, ended = clock.read(iter([(source, start, stop if stop < source.size else None)]), most)
    extent = stop - start
    if not ended and found[-1].offset > found[0].offset:
        extent, found = found[-1].offset - found[0].offset, found[:-1]
    return Stretch(found, extent, stands)


def enterable(source: Source) -> bool:
    """Whether a file can be read from its middle on."""
    name, middle = source.name.lower(), source.size // 2
    if source.format == "archive" and name.endswith(".warc.gz"):
        return next_member(source.path, middle, middle + 4 * LOOK, b"WARC/") is not None
    return source.format == "json" and name.endswith((".jsonl", ".ndjson"))


def front(source: Source, clock: _Clock, most: int, stands: float, sample: Sample) -> bool:
    """Pages from the beginning of a file on, in stretches; whether there are more of them."""
    found, ended = clock.read(iter([(source, 0, None)]), most + 1)
    if ended or len(found) < 2:
        sample.stretches.append(Stretch(found, source.size, stands))
        return not ended
    spans = [b.offset - a.offset for a, b in pairwise(found)]
    sizes = [size_of(page) for page in found[:-1]]
    whole = inflated(source)
    if min(spans) <= 0 or source.name.lower().removesuffix(".gz").endswith(".json"):
        spans = sizes  # places that are no bytes
    elif sum(sizes) > sum(spans):
        whole = source.size  # places among the compressed bytes
    scale, covered = source.size / whole, max(1, sum(spans))
    for start in range(0, len(found) - 1, CHUNK):
        extent = max(1, sum(spans[start : start + CHUNK]))
        pages = found[start : min(start + CHUNK, len(found) - 1)]
        sample.stretches.append(Stretch(pages, extent * scale, stands * extent / covered))
    return True


def inflated(source: Source) -> float:
    """About how many bytes a file has without compression."""
    with source.path.open("rb") as file:
        raw = file.read(LOOK)
    if raw.startswith(MAGIC):
        used, made = _gzip(raw)
    elif raw.startswith(ZSTD):
        used, made = _zstd(raw)
    else:
        return source.size
    return max(1.0, made * source.size / max(used, 1))


def _gzip(raw: bytes) -> tuple[int, int]:
    """Bytes of gzip that are used, and what they inflate to."""
    left, made = raw, 0
    while left and made < BOMB:
        member = zlib.decompressobj(31)
        try:
            while left and not member.eof and made < BOMB:
                made += len(member.decompress(left, 1 << 20))
                left = member.unused_data if member.eof else member.unconsumed_tail
        except zlib.error:
            break
    return len(raw) - len(left), made


def _zstd(raw: bytes) -> tuple[int, int]:
    """The same of zstd."""
    file = BytesIO(raw)
    made = 0
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(file, read_across_frames=True)
    try:
        while made < BOMB and (data := reader.read(1 << 20)):
            made += len(data)
    except zstandard.ZstdError:
        pass
    return file.tell(), made


KINDS = {"html": by_file, "parquet": by_row, "rest": by_reading}
