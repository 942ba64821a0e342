"""What a file or folder is, in the words and numbers that a person wants first."""

import gzip
import io
import json
import math
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from vlmkit.core.errors import InputError
from vlmkit.core.io.files import files_below
from vlmkit.core.io.header import read_header
from vlmkit.core.io.manifest import NAME, read_manifest

WIDTH = 50  # characters of a value that are shown

if TYPE_CHECKING:
    import pyarrow as pa

Described = dict[str, object]


def describe(path: Path, rows: int) -> Described:
    """Describe a path: an artifact by its manifest, a model by its config, a table or archive by what it holds."""
    if path.is_dir():
        return describe_folder(path, rows)
    kind = path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]
    readers = {
        "warc": archive,
        "arc": archive,
        "parquet": parquet,
        "safetensors": tensors,
        "json": json_file,
        "jsonl": lines,
        "csv": csv_table,
        "txt": lines,
    }
    found = readers.get(kind, other)(path, rows)
    return {"kind": found.pop("kind", kind), "bytes": path.stat().st_size, **found}


def describe_folder(folder: Path, rows: int) -> Described:
    """An artifact, a model folder, a folder of tables or shards, or just files."""
    found: Described = {}
    if (folder / NAME).is_file():
        found |= provenance(folder)
    elif (folder / "config.json").is_file():
        found |= {"kind": "model"}
    if (folder / "config.json").is_file():
        found |= model(folder)
    groups: dict[str, list[Path]] = {}
    for path in files_below(folder):
        groups.setdefault(path.relative_to(folder).parent.as_posix(), []).append(path)
    found["files"] = [group(name, paths) for name, paths in groups.items()]
    first = next((p for paths in groups.values() for p in paths if p.suffix == ".parquet"), None)
    if first is not None:
        found[first.relative_to(folder).as_posix()] = parquet(first, rows)["columns"]
    return {"kind": "folder"} | found


def provenance(folder: Path) -> Described:
    """Kind, maker, inputs and main figures, from the manifest."""
    manifest = read_manifest(folder)
    figures = {key: value for key, value in manifest.metrics.items() if not isinstance(value, dict | list)}
    return {
        "kind": manifest.kind,
        "made by": f"vlmkit {' '.join(manifest.argv)}",
        "on": manifest.finished,
        "with": ", ".join(f"{name} {version}" for name, version in manifest.versions.items() if version != "absent"),
        "content_digest": manifest.content_digest,
        "made from": [
            {"path": i.path, "kind": i.kind, "content_digest": i.content_digest[:12]} for i in manifest.inputs
        ],
        **({"result": figures} if figures else {}),
    }


def model(folder: Path) -> Described:
    """Architecture and number of parameters of a transformers folder, from its headers alone."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    entries = [e for shard in sorted(folder.glob("*.safetensors")) for e in read_header(shard).entries.values()]
    gains = ("q_norm.weight", "k_norm.weight") if config.get("model_type") == "open_lm" else ()  # not in OpenLM's N
    count = sum(math.prod(entry.shape) for entry in entries if not entry.name.endswith(gains))
    return {
        "architecture": ", ".join(config.get("architectures") or [config.get("model_type", "unknown")]),
        "parameters": count,
        "tensors": len(entries),
        "tokenizer": (folder / "tokenizer.json").is_file() or (folder / "tokenizer_config.json").is_file(),
    }


def group(name: str, paths: list[Path]) -> Described:
    """The files of one folder in a line."""
    import pyarrow.parquet as pq

    tables = [path for path in paths if path.suffix == ".parquet"]
    rows = sum(pq.read_metadata(path).num_rows for path in tables) if tables else None
    names = [path.name for path in paths]
    shown = ", ".join(names[:3]) + (f", … ({len(names)})" if len(names) > 3 else "")
    return {"folder": name, "files": shown, "rows": rows, "bytes": sum(path.stat().st_size for path in paths)}


def parquet(path: Path, rows: int) -> Described:
    """Rows, columns and the first rows of a table."""
    from vlmkit.core.io.tables import open_part

    handle = open_part(path, None)
    stored = (handle.schema_arrow.metadata or {}).get(b"vlmkit")
    kind = json.loads(stored)["kind"] if stored else "table"
    batch = next(handle.iter_batches(max(rows, 1)), None)
    return {"kind": kind, "rows": handle.metadata.num_rows, "columns": columns(handle.schema_arrow, batch, rows)}


def csv_table(path: Path, rows: int) -> Described:
    """Rows, columns and the first rows of a csv file."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        table = csv.read_csv(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"not a readable csv file: {error}", where=str(path), fix="mend the line") from error
    batch = next(iter(table.to_batches()), None)
    return {"kind": "table", "rows": table.num_rows, "columns": columns(table.schema, batch, rows)}


def columns(schema: "pa.Schema", batch: "pa.RecordBatch | None", rows: int) -> list[Described]:
    """Each column with its type and its first values."""
    values = batch.slice(0, rows).to_pylist() if batch is not None else []
    return [
        {"column": f.name, "type": str(f.type), **{f"row {n}": short(row[f.name]) for n, row in enumerate(values, 1)}}
        for f in schema
    ]


def tensors(path: Path, rows: int) -> Described:
    """Names, types and shapes of the tensors of a file."""
    header = read_header(path)
    listed = [{"name": e.name, "type": e.dtype, "shape": "×".join(map(str, e.shape))} for e in header.entries.values()]
    return {"kind": "tensors", "tensors": len(listed), "metadata": header.metadata, "list": listed[: max(rows, 20)]}


def json_file(path: Path, rows: int) -> Described:
    """The top level of a JSON file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}", where=str(path), fix="make or fetch the file again") from error
    if isinstance(value, dict):
        return {"kind": "json", "value": {key: short(one) for key, one in value.items()}}
    items = value if isinstance(value, list) else [value]
    return {"kind": "json", "items": len(items), "first rows": [{"item": short(one)} for one in items[:rows]]}


def lines(path: Path, rows: int) -> Described:
    """Lines of a text file, compressed or not, and the first of them."""
    with open_lines(path) as handle:
        first = [line.decode("utf-8", "replace") for _, line in zip(range(rows), handle, strict=False)]
        count = len(first) + sum(1 for _ in handle)
    return {"lines": count, "first rows": [{"line": n, "text": short(line)} for n, line in enumerate(first, 1)]}


def open_lines(path: Path) -> IO[bytes]:
    """A text file as lines of bytes, unpacked if its name ends in .gz or .zst."""
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if path.suffix == ".zst":
        import zstandard

        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True))
    return path.open("rb")


def archive(path: Path, rows: int) -> Described:
    """Records of an archive by kind, what is damaged, and the first addresses."""
    from vlmkit.core.io.archives import Record, read_archive

    kinds: dict[str, int] = {}
    first: list[Described] = []
    for found in read_archive(path, path.name):
        kind = found.kind if isinstance(found, Record) else "damaged"
        kinds[kind] = kinds.get(kind, 0) + 1
        if isinstance(found, Record) and kind in ("response", "resource") and len(first) < rows:
            first.append({"offset": found.offset, "bytes": len(found.block), "url": short(found.url)})
    return {"kind": "archive", "records": kinds, "first pages": first}


def other(path: Path, _rows: int) -> Described:
    """A file of no kind that we know."""
    with path.open("rb") as handle:
        return {"kind": "file", "begins with": repr(handle.read(32))}


def short(value: object) -> object:
    """A value that fits into a cell: long text is cut, bytes are counted."""
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        data = value["bytes"]
        return f"{'PNG' if data[1:4] == b'PNG' else 'image'}, {len(data):,} bytes"
    if isinstance(value, int | float | bool) or value is None:
        return value
    text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)).split())
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
