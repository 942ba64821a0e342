"""Tables as parquet: zstd, schema keys that `datasets` and viewers understand, written whole or not at all."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from vlmkit.core.errors import InputError, nearest
from vlmkit.core.io.files import atomic
from vlmkit.core.io.schemas import FEATURES, SCHEMAS, widen

ROWS_PER_GROUP = 10_000
BYTES_PER_GROUP = 64 << 20
VERSION = "1"

Row = dict[str, object]


def write_table(path: Path, table: pa.Table | Sequence[Row], *, kind: str) -> None:
    """Write one parquet file of a kind; its columns are checked against the kind's schema.

    Raises:
        ValueError: a column that the kind must have is missing, or has another type (a fault of the caller).
    """
    if not isinstance(table, pa.Table):
        table = from_rows(table, kind)
    for wanted in SCHEMAS[kind]:
        if wanted.name not in table.column_names or not widen(table.schema.field(wanted.name).type, wanted.type):
            raise ValueError(f"a table of kind '{kind}' needs a column {wanted.name}: {wanted.type}")
    columns = [cast(table[f.name], SCHEMAS[kind], f.name) for f in table.schema]
    table = pa.table(columns, names=table.column_names)
    table = table.replace_schema_metadata(keys(table.schema, kind))
    rows = max(1, min(ROWS_PER_GROUP, math.ceil(table.num_rows * BYTES_PER_GROUP / max(table.nbytes, 1))))
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", compression_level=3, row_group_size=rows)


class TableWriter:
    """Writes rows of a kind into `folder/part-00000.parquet` and on, each part whole or not at all."""

    def __init__(self, folder: Path, *, kind: str, rows_per_part: int = 100_000) -> None:
        self.folder, self.kind, self.rows_per_part = folder, kind, rows_per_part
        self.rows = 0
        self._parts = 0
        self._pending: list[Row] = []

    def add(self, rows: Sequence[Row]) -> None:
        """Append rows; a part is written whenever enough are there."""
        self._pending.extend(rows)
        self.rows += len(rows)
        while len(self._pending) >= self.rows_per_part:
            self._write(self._pending[: self.rows_per_part])
            del self._pending[: self.rows_per_part]

    def close(self) -> None:
        """Write what is left; a table without any row still gets one empty part."""
        if self._pending or not self._parts:
            self._write(self._pending)
            self._pending = []

    def _write(self, rows: Sequence[Row]) -> None:
        write_table(self.folder / f"part-{self._parts:05d}.parquet", rows, kind=self.kind)
        self._parts += 1

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()


def read_tables(path: Path | Sequence[Path], *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a parquet file, a folder of `part-*.parquet`, or several of them, into one table.

    Raises:
        InputError: no table there, a damaged file, or a column that is missing (the nearest name is suggested).
    """
    tables = [read_part(part, columns) for part in parts(path)]
    return pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]


def iter_rows(path: Path | Sequence[Path], *, columns: Sequence[str] | None = None, batch: int = 1000) -> Iterator[Row]:
    """Rows of one or several tables, one by one, in bounded memory."""
    for part in parts(path):
        handle = open_part(part, columns)
        for chunk in handle.iter_batches(batch, columns=list(columns) if columns else None):
            yield from chunk.to_pylist()


def parts(path: Path | Sequence[Path]) -> list[Path]:
    """The parquet files of a table, in order."""
    paths = [path] if isinstance(path, Path) else list(path)
    found = []
    for one in paths:
        inside = [one] if one.is_file() else sorted(one.glob("*.parquet"))
        if not inside:
            raise InputError(
                "no parquet file here", where=str(one), fix="give a .parquet file or a folder of part-*.parquet"
            )
        found += inside
    return found


def read_part(path: Path, columns: Sequence[str] | None) -> pa.Table:
    """One parquet file as a table without file metadata."""
    try:
        table = open_part(path, columns).read(list(columns) if columns else None)
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from error
    return table.replace_schema_metadata(None)


def open_part(path: Path, columns: Sequence[str] | None) -> pq.ParquetFile:
    """Open a parquet file and check that it has the columns."""
    try:
        handle = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from error
    names = handle.schema_arrow.names
    for column in columns or ():
        if column not in names:
            raise InputError(
                f"column '{column}' is missing",
                where=f"{path} (it has: {', '.join(names)})",
                fix=nearest(column, names),
            )
    return handle


def damaged(path: Path, error: Exception) -> InputError:
    """The error for a parquet file that cannot be read."""
    return InputError(f"not a readable parquet file: {error}", where=str(path), fix="make or fetch the file again")


def from_rows(rows: Sequence[Row], kind: str) -> pa.Table:
    """A table from rows: the kind's columns first, with their types, then further columns in order of appearance."""
    schema = SCHEMAS[kind]
    extra = dict.fromkeys(name for row in rows for name in row if name not in schema.names)
    columns = {f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in schema}
    columns |= {name: pa.array([row.get(name) for row in rows]) for name in extra}
    return pa.table(columns)


def cast(column: pa.ChunkedArray, schema: pa.Schema, name: str) -> pa.ChunkedArray:
    """A column in the type that its kind fixes."""
    return column.cast(schema.field(name).type) if name in schema.names else column


def keys(schema: pa.Schema, kind: str) -> dict[str, str]:
    """Schema metadata: what `datasets` needs to decode images, and what vlmkit says of the table."""
    found = {"vlmkit": json.dumps({"kind": kind, "version": VERSION})}
    features = {f.name: feature(f.type) for f in schema}
    if any(f.type in FEATURES for f in schema):
        found["huggingface"] = json.dumps({"info": {"features": features}})
    return found


def feature(kind: pa.DataType) -> object:
    """A column's type in the words of the `datasets` library."""
    if kind in FEATURES:
        return FEATURES[kind]
    if pa.types.is_struct(kind):
        return {f.name: feature(f.type) for f in kind}
    if pa.types.is_list(kind):
        return {"feature": feature(kind.value_type), "_type": "List"}
    names = {"double": "float64", "float": "float32", "large_string": "large_string"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}
