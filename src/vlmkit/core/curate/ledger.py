"""The ledger of a corpus: a row for each page that was read, dropped or not, with the value of every rule.

A page that one rule drops goes through the others too, so that what another bound would do can be told without a run
(`vlmkit curate retune`). A value is missing where a page did not come so far: behind a step that left nothing of it, or
in a stage that compares what earlier ones keep. The rules with their bounds lie beside, in `_rules.json`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from vlmkit.core.curate.columns import Column
from vlmkit.core.curate.parts import PLACE, Done
from vlmkit.core.errors import InputError
from vlmkit.core.io.files import write_json
from vlmkit.core.io.tables import read_tables

FOLDER, RULES = "ledger", "_rules.json"  # readers of a folder of parquet pass over names with a line before them
READ = ("read", "extract")  # the stages whose rules have values of the pages alone that they drop


def first_columns(parts: Sequence[Done]) -> list[Column]:
    """The columns of what could not be read, or has no text."""
    found = set()
    for part in parts:
        for path in part.files("dropped"):
            table = read_tables(path, columns=["step", "rule"]).group_by(["step", "rule"]).aggregate([])
            found |= {(row["step"], row["rule"]) for row in table.to_pylist() if row["step"] in READ}
    return [
        Column(rule, step, rule, tunable=False)
        for step, rule in sorted(found, key=lambda pair: (READ.index(pair[0]), pair[1]))
    ]


def ledger_table(
    part: Done, columns: Sequence[Column], late: Mapping[str, np.ndarray],
    endings: tuple[Mapping[int, str], Mapping[int, str]], starts: tuple[int, int],
) -> pa.Table:  # fmt: skip
    """The rows of a part: `late` holds the values (N,) that its kept rows have of rules which compare them, NaN for
    none; endings of ids are those of all kept and of all dropped rows, which in this part begin at `starts`."""
    files = part.files("notes")
    if not files:
        return pa.table({"id": pa.array([], pa.string())})
    table = read_tables(files)
    place = table[PLACE].to_numpy()
    kept = place >= 0
    ids = np.empty(len(place), object)
    for kind, rows, ending, start in zip(("kept", "dropped"), (kept, ~kept), endings, starts, strict=True):
        names = np.array(ids_of(part, kind, start, ending), object)  # with what earlier phases put behind them
        ids[rows] = names[place[rows] if kind == "kept" else -1 - place[rows]]
    found: dict[str, pa.Array | pa.ChunkedArray] = {"id": pa.array(ids, pa.string())}
    for column in columns:
        if column.name in late:
            values = np.full(len(place), np.nan)
            values[kept] = late[column.name][place[kept]]
            found[column.name] = pa.array(values, pa.float64(), from_pandas=True)
        elif column.name in table.column_names:
            found[column.name] = table[column.name].cast(pa.float64())
        else:
            found[column.name] = pa.nulls(len(place), pa.float64())
    return pa.table(found)


def ids_of(part: Done, kind: str, start: int, endings: Mapping[int, str]) -> list[str]:
    """The ids of the kept or dropped rows of a part, which begin at number `start`, with their endings."""
    files = part.files(kind)
    names = read_tables(files, columns=["id"])["id"].to_pylist() if files else []
    return [f"{name}{endings.get(number, '')}" for number, name in enumerate(names, start)]


@dataclass(frozen=True)
class Sheet:
    """What stands beside a ledger: the rules with their bounds, the stages of the run, and how it told duplicates and
    poor pages, beyond what bounds say."""

    columns: list[Column]
    stages: tuple[str, ...] = ()
    dedup: tuple[str, ...] = ()
    bloom_rate: float = 0.01
    quality_keep: float | None = None

    def write(self, folder: Path) -> None:
        """Write it; null stands for no bound."""
        rows = [asdict(one) | {end: finite(getattr(one, end)) for end in ("low", "high")} for one in self.columns]
        write_json(folder / RULES, vars(self) | {"columns": rows})

    @classmethod
    def read(cls, folder: Path) -> "Sheet":
        """What stands beside the ledger in a folder.

        Raises:
            InputError: there is none.
        """
        path = folder / RULES
        if not path.is_file():
            raise InputError(
                "no ledger is here", where=str(folder), fix="a folder that `vlmkit curate` wrote without --no-ledger"
            )
        said = json.loads(path.read_text(encoding="utf-8"))
        rows = [{name: value for name, value in row.items() if value is not None} for row in said.pop("columns")]
        return cls([Column(**row) for row in rows], tuple(said.pop("stages")), tuple(said.pop("dedup")), **said)


def finite(bound: float) -> float | None:
    """A bound, or None where there is none."""
    return bound if math.isfinite(bound) else None
