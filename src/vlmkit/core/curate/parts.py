"""A part of the work with its results on the disk, so that a killed run goes on behind the parts that are done.

A done part is a folder: kept and dropped rows, and what the ledger notes of both, as parquet, arrays of what
deduplication needs to know of each kept row, and `done.json`, written last, with the counts and the digest of every
file. A part whose pages wait for a comparison with all others holds, with each row, the page as its recipe left it.
"""

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from vlmkit.core.curate import minhash
from vlmkit.core.curate.bloom import count_ngrams
from vlmkit.core.curate.compare import Comparison, Value, marks_of
from vlmkit.core.curate.dedup import text_digest
from vlmkit.core.curate.operations import Page as RecipePage
from vlmkit.core.curate.work import Dropped, Kept, Row, Settings, Tally, Worker
from vlmkit.core.errors import InputError
from vlmkit.core.io.files import digest, files_below, remove, write_json
from vlmkit.core.io.inflate import Damage
from vlmkit.core.io.remote import forget
from vlmkit.core.io.sources import Part
from vlmkit.core.io.spool import read_array, write_array
from vlmkit.core.io.tables import iter_rows, write_table
from vlmkit.core.io.web import Page, Reading, read_slice

ROWS_HELD, CHARS_HELD = 4000, 16 << 20  # rows and characters that wait for being written
DONE = "done.json"
HELD = "held"  # the column with a page that waits
PLACE = "place"
KINDS = {"kept": "documents", "dropped": "dropped", "notes": "ledger"}


@dataclass(frozen=True)
class Done:
    """A part that is done: its folder, how many rows it kept, and its tally."""

    folder: Path
    kept: int
    tally: Tally

    def files(self, kind: str) -> list[Path]:
        """The parquet files of its kept or dropped rows, or of the notes on them (PLACE: the number of a kept row, or
        -1 less that of a dropped one)."""
        return sorted(self.folder.glob(f"{kind}-*.parquet"))

    def array(self, name: str) -> np.ndarray:
        """One of the arrays on its kept rows (`drop_ids` and `drop_places`: on its dropped ones)."""
        return read_array(self.folder / f"{name}.npy")


class Bench:
    """Where parts are worked on: the worker, and the folder of all parts for each phase of the recipe."""

    def __init__(self, settings: Settings, folders: Sequence[Path]) -> None:
        self.worker, self.folders = Worker(settings), folders


def work_on(bench: Bench, number: int, part: Part) -> Tally:
    """Work on one part, up to the first comparison of its recipe, and leave it done; its tally."""
    tally = Tally()
    pages = read_part(part, bench.worker.settings.reading)
    leave_done(bench, number, 0, bench.worker.pages(pages, tally), tally)
    for piece in part:
        if piece.source.address:
            forget(piece.source.path)
    return tally


def leave_done(
    bench: Bench,
    number: int,
    phase: int,
    found: Iterable[Kept | Dropped],
    tally: Tally,
    *,
    before: Done | None = None,
    carried: Iterable[pa.Table] = (),
) -> Tally:
    """Write what a phase finds of a part, behind what earlier ones dropped of it; its tally."""
    folder = part_folder(bench.folders[phase], number)
    remove(folder)
    kitchen = bench.worker.kitchen
    compared = kitchen.comparisons[phase] if kitchen and phase < len(kitchen.comparisons) else None
    rows = Rows(folder, bench.worker.settings, compared, before=before)
    for table in carried:
        rows.carry(table)
    for one in found:
        rows.add(one, tally)
    rows.close()
    record = {
        "kept": rows.count,
        "tally": vars(tally),
        "files": {path.name: digest(path) for path in files_below(folder)},
    }
    write_json(folder / DONE, record)
    return tally


def part_folder(root: Path, number: int) -> Path:
    """The folder of a part."""
    return root / f"{number:06d}"


def read_part(part: Part, reading: Reading) -> Iterator[Page | Damage]:
    """All pages of a part, in order."""
    for piece in part:
        for page in read_slice(piece, reading):
            if isinstance(page, Page):
                page.given = piece.source.given
            yield page


def find_done(root: Path, number: int) -> Done | None:
    """A part as it was left, or None when it is not done, or its files are not those that were written."""
    folder = part_folder(root, number)
    if not (folder / DONE).is_file():
        return None
    record = json.loads((folder / DONE).read_text(encoding="utf-8"))
    if set(record["tally"]) != set(vars(Tally())) or "places.npy" not in record["files"]:
        return None  # of another version
    if any(not (folder / name).is_file() or digest(folder / name) != sha for name, sha in record["files"].items()):
        return None
    counts = {name: Counter(record["tally"][name]) for name in ("kept", "dropped", "rules", "differing", "chars")}
    return Done(folder, record["kept"], Tally(**counts, seconds=record["tally"]["seconds"]))


def texts_of(parts: Sequence[Done], rows: np.ndarray) -> Iterator[tuple[int, str]]:
    """Texts of some kept rows (numbers in order), read part by part."""
    yield from ((row, str(value)) for row, value in values_of(parts, rows, "text"))


def values_of(parts: Sequence[Done], rows: np.ndarray, column: str) -> Iterator[tuple[int, object]]:
    """Values of some kept rows (numbers in order), read part by part."""
    start = 0
    for part in parts:
        inside = set(rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + part.kept)].tolist())
        if inside:
            for row, values in enumerate(iter_rows(part.files("kept"), columns=[column], batch=256), start):
                if row in inside:
                    yield row, values[column]
        start += part.kept


def held(page: RecipePage, name: str) -> str:
    """A page as JSON, until the comparison that it waits for is judged.

    Raises:
        InputError: a step left something in it that JSON does not hold.
    """
    try:
        return json.dumps(page)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"a step left in the page what cannot be kept between the phases of a recipe: {error}", where=name,
            fix="text, numbers, lists and dictionaries with names",
        ) from error  # fmt: skip


class Rows:
    """Writes the rows of a part as they come, and the arrays on them at the end; behind an earlier phase those that it
    kept come, in order."""

    def __init__(
        self, folder: Path, settings: Settings, compared: Comparison | None = None, *, before: Done | None = None
    ) -> None:
        noted = before.files("notes") if before else ()
        self.folder, self.ledger, self.compared = folder, settings.ledger, compared
        self.dedup = () if compared else settings.dedup
        self.count = 0
        self._noted = iter_rows(noted) if noted else iter(())
        self._waiting: dict[str, list[Row]] = {kind: [] for kind in KINDS}
        self._chars = Counter[str]()
        self._written = Counter[str]()
        self._ids: dict[str, list[int]] = {"kept": [], "dropped": []}
        self._places: dict[str, list[int]] = {"kept": [], "dropped": []}  # among all pages of the part
        self._coming = iter(before.array("places").tolist()) if before else itertools.count()
        if before:
            self._places["dropped"] += before.array("drop_places").tolist()
        self._given: list[bool] = []
        self._lengths: list[int] = []
        self._origins: list[str] = []
        self._digests: list[bytes] = []
        self._bands: list[np.ndarray] = []
        self._quality: list[float] = []
        self._ngrams: list[int] = []
        self._marked: list[tuple[list[bytes], Value | None]] = []

    def carry(self, table: pa.Table) -> None:
        """Take dropped rows of an earlier phase."""
        self._ids["dropped"] += [xxhash.xxh3_64_intdigest(str(name)) for name in table["id"].to_pylist()]
        self._write("dropped", table)

    def add(self, found: Kept | Dropped, tally: Tally) -> None:
        """Take one row."""
        kind, row = "kept" if isinstance(found, Kept) else "dropped", found.row
        text = str(row["text"])
        place = self.count if isinstance(found, Kept) else -1 - len(self._ids["dropped"])
        self._note({"id": row["id"], PLACE: place, **found.notes})
        self._ids[kind].append(xxhash.xxh3_64_intdigest(str(row["id"])))
        self._places[kind].append(next(self._coming))
        if isinstance(found, Kept):
            self.count += 1
            self._given.append(found.given)
            self._lengths.append(len(text))
            self._origins.append(found.origin)
            if "quality_score" in row:
                self._quality.append(float(str(row["quality_score"])))
            begun = time.perf_counter()
            if self.compared is not None and found.page is not None:
                self._marked.append(self.compared.mark(found.page))
                row = row | {HELD: held(found.page, str(row["id"]))}
                begun = tally.spend("heuristics", begun)
            self._mark(text)
            tally.spend("dedup", begun)
        self._chars[kind] += len(text)
        self._wait(kind, row)

    def _note(self, notes: Row) -> None:
        """Note the values of a row, with those of earlier phases, behind rows that these dropped."""
        if self.ledger:
            for row in self._noted:
                if int(str(row[PLACE])) >= 0:
                    notes = row | notes
                    break
                self._wait("notes", row)
            self._wait("notes", notes)

    def _wait(self, kind: str, row: Row) -> None:
        self._waiting[kind].append(row)
        if len(self._waiting[kind]) >= ROWS_HELD or self._chars[kind] >= CHARS_HELD:
            self._write(kind, self._waiting[kind])
            self._waiting[kind], self._chars[kind] = [], 0

    def _mark(self, text: str) -> None:
        if "bloom" in self.dedup:
            self._ngrams.append(count_ngrams(text))
        if "exact" in self.dedup:
            self._digests.append(text_digest(text))
        if "minhash" in self.dedup:
            shingles = minhash.shingles(text)
            nothing = np.zeros(minhash.BANDS, dtype=np.uint64)  # a text without words is near no other
            self._bands.append(minhash.bands(minhash.signature(shingles)) if len(shingles) else nothing)

    def _write(self, kind: str, rows: list[Row] | pa.Table) -> None:
        path = self.folder / f"{kind}-{self._written[kind]:05d}.parquet"
        write_table(path, rows, kind=KINDS[kind])
        self._written[kind] += 1

    def close(self) -> None:
        """Write what waits, and the arrays."""
        for row in self._noted:
            self._wait("notes", row)
        for kind, rows in self._waiting.items():
            if rows:
                self._write(kind, rows)
        arrays = {
            "ids": np.array(self._ids["kept"], dtype=np.uint64),
            "drop_ids": np.array(self._ids["dropped"], dtype=np.uint64),
            "places": np.array(self._places["kept"], dtype=np.int64),
            "drop_places": np.array(self._places["dropped"], dtype=np.int64),
            "given": np.array(self._given, dtype=np.bool_),
            "chars": np.array(self._lengths, dtype=np.int64),
            "origins": np.array(self._origins, dtype=np.str_),
        }
        if self._quality or not self.count:
            arrays["quality"] = np.array(self._quality, dtype=np.float64)
        if "bloom" in self.dedup:
            arrays["ngrams"] = np.array(self._ngrams, dtype=np.int64)
        if "exact" in self.dedup:
            arrays["digests"] = np.frombuffer(b"".join(self._digests), dtype=np.uint64).reshape(-1, 2)
        if "minhash" in self.dedup:
            arrays["bands"] = np.array(self._bands, dtype=np.uint64).reshape(-1, minhash.BANDS).T
        if self.compared:
            marks = marks_of(self._marked)
            arrays |= {"units": marks.units, "counts": marks.counts}
            arrays |= {} if marks.selection is None else {"selection": marks.selection}
        for name, array in arrays.items():
            write_array(self.folder / f"{name}.npy", array)
