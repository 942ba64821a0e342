"""The points of a fit: runs with N, D, M, C and a loss, checked before anything is computed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vlmkit.core.errors import InputError, nearest
from vlmkit.core.scaling.evidence import Places
from vlmkit.core.scaling.laws import FLOPS_PER_PARAMETER_AND_TOKEN, Law

Columns = Mapping[str, np.ndarray]
BOUNDARY = re.compile(r"^loss_(lo|hi)\d*_")  # ends of an interval, not losses
SAME = 1e-3  # sizes that differ by less, relatively, are one size: tokens are rounded to whole sequences
LOOSE = 0.01  # how far a stated M may be from D / N: tables round it
UNNAMED = "row"  # what a run without a name is called, with its number in the table
UNITS = {"N": "parameters", "D": "tokens", "M": "tokens a parameter", "C": "FLOPs"}


@dataclass(frozen=True)
class Points:
    """Runs (N,): parameters, tokens, FLOPs, observed values (NaN where unknown), and their names."""

    size: np.ndarray
    tokens: np.ndarray
    flops: np.ndarray
    value: np.ndarray
    names: tuple[str, ...]

    @property
    def places(self) -> Places:
        """Where the runs stand."""
        return Places(self.size, self.tokens, self.flops)

    @property
    def multiplier(self) -> np.ndarray:
        """Tokens a parameter."""
        return self.tokens / self.size

    def __getitem__(self, rows: np.ndarray) -> "Points":
        names = np.array(self.names, dtype=object)[rows]
        return Points(self.size[rows], self.tokens[rows], self.flops[rows], self.value[rows], tuple(names))


def rename(columns: Columns, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The columns, with further ones under the names that the laws know: NAME=COLUMN."""
    for wanted in names.values():
        column(columns, wanted, where="--map")
    return {**columns, **{name: columns[source] for name, source in names.items()}}


def complete(columns: Columns, law: Law) -> dict[str, np.ndarray]:
    """The columns with N, D, M and C, where three of them follow from two; in float64, so that no product overflows.

    A law of C alone needs no N and no D: they are NaN where the table has none.
    """
    full = dict(columns)
    rows = len(next(iter(full.values())))
    full.setdefault("name", np.array([f"{UNNAMED} {row + 1}" for row in range(rows)], dtype=object))
    for name in UNITS:
        if name in full and full[name].dtype != np.float64:
            row, cell = odd_cell(full[name])
            raise InputError(
                f"column '{name}' holds text: '{cell}'", where=f"row {row}", fix=f"numbers of {UNITS[name]}"
            )
    with np.errstate(all="ignore"):  # what is no number is refused later, where it is used
        derive(full)
        needed = {"N", "D"} if "C" in law.over and "C" not in full else set(law.over)
        for name in ("N", "D"):
            if name not in full and name in needed:
                raise InputError(
                    f"there is no column '{name}' ({UNITS[name]})",
                    where=f"the table has: {', '.join(list(columns)[:20])}",
                    fix=f"name it: --map {name}=COLUMN",
                )
            full.setdefault(name, np.full(rows, np.nan))
        full.setdefault("M", full["D"] / full["N"])
        product = FLOPS_PER_PARAMETER_AND_TOKEN * full["N"] * full["D"]
        stated = full.setdefault("C", product)
        full["C"] = np.where(np.isnan(stated), product, stated)
    return full


def contradictions(table: Columns, law: Law) -> Iterator[str]:
    """Where a stated M or C of a complete table is not what follows from N and D."""
    product = FLOPS_PER_PARAMETER_AND_TOKEN * table["N"] * table["D"]
    own = "the law is one of the table's C: ask it by C, for N,D it takes 6 N D"
    what = own if law.over == ("C",) else "the law uses N and D, plans count 6 N D"
    for name, derived, formula, then in (
        ("M", table["D"] / table["N"], "D / N", "the law uses N and D"),
        ("C", product, "6 N D", what),
    ):
        off = np.abs(table[name] / derived - 1) > LOOSE
        if off.any():
            row = int(np.argmax(off))
            numbers = f"row {row + 1}: {table[name][row]:g}, not {derived[row]:g}"
            yield f"{name} is not {formula} in {off.sum()} rows ({numbers}): {then}"


def derive(full: dict[str, np.ndarray]) -> None:
    """Add N and D where they follow from what is there."""
    known = {name for name in UNITS if name in full}
    if "N" not in known and known >= {"D", "M"}:
        full["N"] = full["D"] / full["M"]
    elif "N" not in known and known >= {"C", "D"}:
        full["N"] = full["C"] / (FLOPS_PER_PARAMETER_AND_TOKEN * full["D"])
    elif "N" not in known and known >= {"C", "M"}:
        full["N"] = np.sqrt(full["C"] / (FLOPS_PER_PARAMETER_AND_TOKEN * full["M"]))
    if "N" in full and "D" not in known:
        if "M" in known:
            full["D"] = full["M"] * full["N"]
        elif "C" in known:
            full["D"] = full["C"] / (FLOPS_PER_PARAMETER_AND_TOKEN * full["N"])


def odd_cell(values: np.ndarray) -> tuple[int, object]:
    """The first cell of a column that is no number, and its row, from 1 on."""
    for row, cell in enumerate(values, start=1):
        try:
            float(cell)
        except (TypeError, ValueError):
            if cell is not None:
                return row, cell
    return 1, values[0]


def loss_column(columns: Columns, asked: str | None) -> str:
    """The column of the loss: the one asked for, or the only one there is."""
    if asked:
        column(columns, asked, where="--loss-column")
        return asked
    found = [name for name in columns if (name == "loss" or name.startswith("loss_")) and not BOUNDARY.match(name)]
    if "loss" in found:
        return "loss"
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{len(found)} columns are losses", where=", ".join(found), fix=f"choose one: --loss-column {found[0]}"
        )
    raise InputError(
        "no column is a loss", where="the table", fix="name it: --loss-column COLUMN, or --map loss=COLUMN"
    )


def column(columns: Columns, name: str, *, where: str) -> np.ndarray:
    """A column of numbers (N,) by its name.

    Raises:
        InputError: it is not there (the nearest name is suggested), or holds text.
    """
    if name not in columns:
        raise InputError(f"there is no column '{name}'", where=where, fix=nearest(name, columns))
    if columns[name].dtype != np.float64 and where != "--map":
        raise InputError(f"column '{name}' holds no numbers", where=where, fix="name a column of numbers")
    return columns[name]


def points(columns: Columns, value: str) -> Points:
    """The points of a table with N, D and C, and the observed values of one column."""
    names = tuple(label(name, row) for row, name in enumerate(columns["name"], start=1))
    return Points(columns["N"], columns["D"], columns["C"], columns[value], names)


def label(name: object, row: int) -> str:
    """What a run is called: by its row where it has no name."""
    if name is None or (isinstance(name, float) and np.isnan(name)):
        return f"{UNNAMED} {row}"
    return f"{name:g}" if isinstance(name, float) else str(name)


def check(runs: Points, *, value: str, law: Law, fitted: bool) -> None:
    """Refuse points from which nothing can be computed; `fitted` ones need a value.

    Raises:
        InputError: naming the run.
    """
    places = {"N": runs.size, "D": runs.tokens, "C": runs.flops}
    for name, numbers in (*((name, places[name]) for name in law.over if name in places), (value, runs.value)):
        if numbers.dtype.kind not in "fiu":
            row, cell = odd_cell(numbers)
            where = f"run '{runs.names[row - 1]}'"
            raise InputError(f"column '{name}' holds '{cell}'", where=where, fix="numbers alone, or another column")
        bad = ~(np.isfinite(numbers) & (numbers > 0))
        if name == value and not fitted:
            bad &= ~np.isnan(numbers)  # a run that is not measured yet may be predicted
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            shown = "missing" if np.isnan(numbers[row]) else f"{numbers[row]:g}"
            raise InputError(
                f"{name} is {shown}, but has to be a positive number",
                where=f"run '{runs.names[row]}' ({int(bad.sum())} such in all)",
                fix="mend the table, or leave the run out with --where",
            )
    if fitted:
        check_spread(runs, value, law)
        duplicates(runs)


def check_spread(runs: Points, value: str, law: Law) -> None:
    """Refuse runs that do not differ in what the law tells apart."""
    places = {"N": runs.size, "D": runs.tokens, "C": runs.flops}
    varying = [*((name, places[name]) for name in law.over if name in places), (value, runs.value)]
    for name, numbers in varying if len(runs.names) > 1 else ():
        if np.ptp(numbers) <= (1e-9 if name == value else SAME) * np.abs(numbers).max():
            raise InputError(
                f"{name} is {numbers[0]:g} in all runs of the fit", where=name, fix="add runs that differ in it"
            )
    if law.over == ("N", "D") and len(runs.names) > 2:
        slope, apart = together(np.log(runs.size), np.log(runs.tokens))
        if apart <= SAME and slope > 0:  # where one grows as the other shrinks, one term rises and one falls
            one = abs(slope - 1) < SAME
            line = f"M is {runs.multiplier[0]:g}" if one else f"D goes as N^{slope:.3g}"
            raise InputError(
                f"{line} in all runs of the fit: N and D cannot be told apart",
                where=f"{len(runs.names)} runs",
                fix="add runs with another number of tokens a parameter, or fit --law power --variable C",
            )


def together(log_size: np.ndarray, log_tokens: np.ndarray) -> tuple[float, float]:
    """How D goes with N, as a power, and by how much (root mean square, of a logarithm) runs (N,) lie off that line."""
    both = np.stack([log_size, log_tokens])
    axes, lengths, _ = np.linalg.svd(both - both.mean(1, keepdims=True), full_matrices=False)
    slope = axes[1, 0] / axes[0, 0] if axes[0, 0] else np.inf
    return float(slope), float(lengths[-1] / np.sqrt(log_size.size))


def duplicates(runs: Points) -> None:
    """Refuse a run that is there twice: it would count double, and make the intervals too narrow."""
    numbers = np.nan_to_num(np.stack([runs.size, runs.tokens, runs.flops, runs.value]), nan=-1.0).T
    rows = [(name, *row) for name, row in zip(runs.names, numbers.tolist(), strict=True)]
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        key = row[1:] if row[0].startswith(f"{UNNAMED} ") else row
        if key in seen:
            raise InputError("a run is there twice", where=f"run '{row[0]}'", fix="give each run once")
        seen.add(key)


def no_points() -> Points:
    """No runs at all."""
    return Points(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0), ())
