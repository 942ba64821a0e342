"""Classifiers beside one another, on the images that they were attacked on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlmkit.core.attack.paired import Paired
from vlmkit.core.configs.attack_compare import CompareConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.html import percent
from vlmkit.core.io.job import Result
from vlmkit.core.io.manifest import read_manifest
from vlmkit.core.io.progress import log
from vlmkit.core.io.tables import read_tables

Row = dict[str, Any]


def run(config: CompareConfig) -> Result:
    """Compare runs with the first of them."""
    first, *others = config.runs
    found = [row for other in others for row in compared(first, other)]
    shown = [
        {
            "a": row["a"], "b": row["b"], "norm": row["norm"], "eps": row["eps"],
            "robust a": percent(row["robust_accuracy_a"]), "robust b": percent(row["robust_accuracy_b"]),
            "a less b": percent(row["difference"], sign=True),
            "95 % interval": f"{percent(row['low'], sign=True)} to {percent(row['high'], sign=True)}",
            "p": f"{row['p']:.2g}",
        }
        for row in found
    ]  # fmt: skip
    return Result({"comparisons": found}, shown={"comparisons": shown})


def compared(first: Path, other: Path) -> list[Row]:
    """A row for each norm and radius that two runs have both.

    Raises:
        InputError: they share no images, no radius, or give an image different labels.
    """
    tables = [read_tables(path / "images.parquet").to_pylist() for path in (first, other)]
    points = [points_of(path) for path in (first, other)]
    shared = [point for point in points[0] if point in points[1]]
    if not shared:
        raise InputError(
            "the runs share no norm and radius", where=f"{first}, {other}", fix="attack both with the same --eps"
        )
    told = [read_manifest(path) for path in (first, other)]
    if told[0].inputs[-1].content_digest != told[1].inputs[-1].content_digest:
        log.warning("%s, %s: the images are of different files; those of one id are taken to be the same", first, other)
    for path, one in zip((first, other), told, strict=True):
        if not one.metrics["reliable"]:
            log.warning("%s: its own verdict is that it cannot be trusted", path)
    return [row(first, other, tables, norm, eps) for norm, eps in shared]


def points_of(path: Path) -> list[tuple[str, float]]:
    """The norms and radii of a run."""
    curve: Any = read_manifest(path).metrics["curve"]
    return [(one["norm"], one["eps"]) for one in curve]


def row(first: Path, other: Path, tables: Sequence[Sequence[Row]], norm: str, eps: float) -> Row:
    """The comparison at a radius."""
    a, b = ({one["id"]: one for one in table if one["norm"] == norm} for table in tables)
    ids = [name for name in a if name in b]
    if not ids:
        raise InputError("the runs share no images", where=f"{first}, {other}", fix="attack both on the same images")
    if len(ids) < max(len(a), len(b)):
        log.warning("%s, %s: %d images of %d and %d are in both", first, other, len(ids), len(a), len(b))
    differ = next((name for name in ids if a[name]["label"] != b[name]["label"]), None)
    if differ is not None:
        said = f"image '{differ}' is of class {a[differ]['label']} in one and {b[differ]['label']} in the other"
        raise InputError(said, where=f"{first}, {other}", fix="attack both on the same images")
    pair = Paired.of([a[name] for name in ids], [b[name] for name in ids], eps)
    low, high = pair.interval
    return {
        "a": str(first), "b": str(other), "norm": norm, "eps": eps, "n": pair.n,
        "robust_accuracy_a": (pair.both + pair.only_a) / pair.n,
        "robust_accuracy_b": (pair.both + pair.only_b) / pair.n, "difference": pair.difference, "low": low,
        "high": high, "only_a": pair.only_a, "only_b": pair.only_b, "p": pair.p,
    }  # fmt: skip
