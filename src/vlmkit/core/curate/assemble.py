"""From the parts of the work to the corpus: ids made unique, tables written, in the order of the parts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vlmkit.core.curate.ledger import FOLDER, Sheet, first_columns, ledger_table
from vlmkit.core.curate.parts import Done, values_of
from vlmkit.core.curate.verdicts import KEPT, STEPS, Verdicts
from vlmkit.core.curate.work import dropped_row
from vlmkit.core.io.progress import log, progress
from vlmkit.core.io.tables import from_rows, read_tables, write_table

PLACES = ("places", "drop_places")


def unique_ids(parts: Sequence[Done]) -> tuple[dict[int, str], dict[int, str], int]:
    """Endings for ids that occurred before, by kept row and by dropped row, and how many of them were given.

    The first page with an id keeps it; the n-th gets the ending `#n`, whatever rules keep of them.
    """
    kept = np.concatenate([np.empty(0, np.uint64), *(part.array("ids") for part in parts)])
    dropped = np.concatenate([np.empty(0, np.uint64), *(part.array("drop_ids") for part in parts)])
    given = np.concatenate([np.empty(0, np.bool_), *(part.array("given") for part in parts)])
    starts = np.cumsum([0, *(part.kept + len(part.array("drop_ids")) for part in parts)])
    places = [start + part.array(name) for name in PLACES for start, part in zip(starts, parts, strict=False)]
    order = np.argsort(np.concatenate([np.empty(0, np.int64), *places]))  # the rows as their pages came
    every = np.concatenate([kept, dropped])[order]
    _, first, inverse, counts = np.unique(every, return_index=True, return_inverse=True, return_counts=True)
    again = np.flatnonzero((counts[inverse] > 1) & (first[inverse] != np.arange(len(every))))
    seen: Counter[int] = Counter()
    endings: dict[int, str] = {}
    for page in again.tolist():
        seen[inverse[page]] += 1
        endings[int(order[page])] = f"#{seen[inverse[page]] + 1}"
    here = {row: ending for row, ending in endings.items() if row < len(kept)}
    there = {row - len(kept): ending for row, ending in endings.items() if row >= len(kept)}
    return here, there, int(given[list(here)].sum()) if here else 0


def warn_of_ids(given: int) -> None:
    """Say that ids were given twice."""
    if given:
        log.warning("%d documents came with an id that another one has; theirs end in #2, #3 and so on", given)


def write_corpus(
    parts: Sequence[Done], verdicts: Verdicts, *, folder: Path, sheet: Sheet | None = None
) -> tuple[int, int]:
    """Write documents/, dropped/ and, where it has a sheet, ledger/ below a folder; how many rows of the first two.

    Files that are there already are from this very run, killed before its end, and are left as they are.
    """
    endings, drop_endings, given = unique_ids(parts)
    warn_of_ids(given)
    matched = np.unique(verdicts.match[verdicts.match >= 0])
    ids = {row: f"{value}{endings.get(row, '')}" for row, value in values_of(parts, matched, "id")}
    documents, dropped = _Files(folder / "documents", "documents"), _Files(folder / "dropped", "dropped")
    ledger = _Files(folder / FOLDER, FOLDER)
    sheet = sheet and replace(sheet, columns=[*first_columns(parts), *sheet.columns])
    row = drop_row = 0
    for number, part in enumerate(parts):
        if sheet:
            late = verdicts.late(number, row, part.kept)
            ledger.add(ledger_table(part, sheet.columns, late, (endings, drop_endings), (row, drop_row)))
        for path in part.files("dropped"):
            table = read_tables(path)
            dropped.add(with_endings(table, drop_row, drop_endings))
            drop_row += table.num_rows
        start, texts = row, verdicts.texts(number)
        for path in part.files("kept"):
            table = with_endings(read_tables(path), row, endings)
            kept = pa.array(verdicts.rule[row : row + table.num_rows] == KEPT)
            documents.add(with_texts(table, row - start, texts).filter(kept))
            dropped.add(dropped_table(table, row, verdicts, ids))
            row += table.num_rows
        progress("writing", number + 1, len(parts), "parts", documents=documents.rows)
    write_copies(parts, verdicts, endings, documents)
    documents.close()
    dropped.close()
    if sheet:
        ledger.close()
        sheet.write(folder / FOLDER)
    return documents.rows, dropped.rows


def write_copies(parts: Sequence[Done], verdicts: Verdicts, endings: dict[int, str], documents: "_Files") -> None:
    """Write kept rows again as often as they are wanted, pass after pass; ids of the n-th pass end in `#pass-n`."""
    if verdicts.copies is None:
        return
    for turn in range(2, int(verdicts.copies[verdicts.rule == KEPT].max(initial=1)) + 1):
        row = 0
        wanted = (verdicts.rule == KEPT) & (verdicts.copies >= turn)
        for number, part in enumerate(parts):
            start, texts = row, verdicts.texts(number)
            for path in part.files("kept"):
                count = pq.read_metadata(path).num_rows
                if wanted[row : row + count].any():
                    table = with_texts(with_endings(read_tables(path), row, endings), row - start, texts)
                    table = table.filter(pa.array(wanted[row : row + count]))
                    documents.add(with_endings(table, 0, dict.fromkeys(range(table.num_rows), f"#pass-{turn}")))
                row += count


def with_endings(table: pa.Table, start: int, endings: dict[int, str]) -> pa.Table:
    """A table whose rows begin at number `start`, with the endings of its ids."""
    inside = {row - start: endings[row] for row in range(start, start + table.num_rows) if row in endings}
    if not inside:
        return table
    ids = [f"{value}{inside.get(place, '')}" for place, value in enumerate(table["id"].to_pylist())]
    return table.set_column(table.schema.get_field_index("id"), "id", pa.array(ids, pa.string()))


def with_texts(table: pa.Table, start: int, texts: dict[int, str]) -> pa.Table:
    """A table whose rows begin at number `start`, with the texts that are left of them."""
    inside = {row - start: texts[row] for row in range(start, start + table.num_rows) if row in texts}
    if not inside:
        return table
    values = [inside.get(place, value) for place, value in enumerate(table["text"].to_pylist())]
    return table.set_column(table.schema.get_field_index("text"), "text", pa.array(values, pa.string()))


def dropped_table(table: pa.Table, start: int, verdicts: Verdicts, ids: dict[int, str]) -> pa.Table:
    """The rows of a table that are dropped, as rows of the drop log."""
    places = np.flatnonzero(verdicts.rule[start : start + table.num_rows] != KEPT)
    drops = [
        dropped_row(
            row,
            STEPS[int(verdicts.rule[start + place])],
            verdicts.reason(start + place),
            matched_id=verdicts.names.get(start + place, ids.get(int(verdicts.match[start + place]))),
        )
        for row, place in zip(table.take(pa.array(places)).to_pylist(), places.tolist(), strict=True)
    ]
    return from_rows(drops, "dropped")


class _Files:
    """Numbered parquet files of one kind; tables without rows are passed over, but one file there is at least."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self.rows = self.count = 0

    def add(self, table: pa.Table) -> None:
        """Write one table."""
        if table.num_rows:
            self._write(table)
            self.rows += table.num_rows

    def close(self) -> None:
        """Write an empty table if there is none."""
        if not self.count:
            self._write(from_rows([], self.kind))

    def _write(self, table: pa.Table) -> None:
        path = self.folder / f"part-{self.count:05d}.parquet"
        if not path.is_file():
            write_table(path, table, kind=self.kind)
        self.count += 1
