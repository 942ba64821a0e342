"""What `vlmkit attack run` writes, reads back and shows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.board import ROUNDING
from vlmkit.core.attack.figure import pictures as curve_pictures
from vlmkit.core.attack.outcome import FOOLED, Row
from vlmkit.core.attack.page import Origin, page
from vlmkit.core.configs.attack import AttackConfig
from vlmkit.core.io.files import write_bytes, write_text
from vlmkit.core.io.html import percent
from vlmkit.core.io.job import Job, Result, versions
from vlmkit.core.io.tables import read_tables, write_table
from vlmkit.core.io.tensors import load_tensors, save_tensors
from vlmkit.core.recipes.attack_parts import Exam
from vlmkit.core.recipes.attack_units import Part

TABLE, CHANGES = "images.parquet", "deltas.safetensors"
LOGS = ("report.html", "curve.svg", "curve.png")


def write_changes(job: Job, exam: Exam, parts: Mapping[str, list[Part]]) -> list[Row]:
    """Write the table and the changes; the rows, norm by norm in the order of the images.

    A tensor holds the changes of all images in a norm; where the images have several shapes there is one a shape.
    """
    rows: list[Row] = []
    tensors: dict[str, Tensor] = {}
    for norm, some in parts.items():
        held: dict[int, Row] = {}
        for group in exam.groups:
            shape = exam.pictures.pixels[group[0]].shape
            name = norm if len(exam.groups) == 1 else f"{norm}.{'x'.join(map(str, shape))}"
            mine = [part for part in some if part.changes.shape[1:] == shape]
            tensors[name] = torch.cat([part.changes for part in mine])
            places = [(int(place), row) for part in mine for place, row in zip(part.places, part.rows, strict=True)]
            held |= {place: row | {"tensor": name, "row": at} for at, (place, row) in enumerate(places)}
        rows += [held[place] for place in sorted(held)]
    save_tensors(job.folder / CHANGES, tensors)
    write_table(job.folder / TABLE, rows, kind="adversarial")
    return rows


def reread(job: Job, exam: Exam, batch: int) -> int:
    """How many of the changes that are claimed hold when the files are read back: within the radius that is stated and
    the box, and giving another class in float32 (the target, where there is one)."""
    rows = read_tables(job.folder / TABLE).to_pylist()
    tensors = load_tensors(job.folder / CHANGES)
    places = {name: at for at, name in enumerate(exam.pictures.ids)}
    held = 0
    for name, changes in tensors.items():
        mine = [row for row in rows if row["tensor"] == name and row["status"] == FOOLED]
        for start in range(0, len(mine), batch):
            some = mine[start : start + batch]
            d = torch.stack([changes[row["row"]] for row in some])
            x = torch.from_numpy(np.stack([exam.pictures.pixels[places[row["id"]]] for row in some])) + d
            with torch.no_grad():
                given = exam.model(x.to(exam.device)).argmax(1).cpu()
            size = BALLS[some[0]["norm"]].size(d)
            stated = torch.tensor([row["radius_high"] for row in some])
            label = torch.tensor([row["label"] for row in some])
            said = torch.tensor([row["prediction"] for row in some])
            inside = (x.amin((1, 2, 3)) >= 0) & (x.amax((1, 2, 3)) <= 1) & (size <= stated + ROUNDING)
            held += int((inside & (given != label) & (given == said)).sum())
    return held


def write_pages(
    job: Job, config: AttackConfig, exam: Exam, values: Mapping[str, Any], rows: list[Row]
) -> tuple[str, ...]:
    """Write the curve as a picture, and the page."""
    image, pixels = curve_pictures(values["curve"], values["clean_accuracy"])
    write_text(job.folder / "curve.svg", image)
    write_bytes(job.folder / "curve.png", pixels)
    origin = Origin(job.inputs, job.settings | {"radii": {k: list(v) for k, v in config.radii.items()}}, versions())
    changes = load_tensors(job.folder / CHANGES)
    images = dict(zip(exam.pictures.ids, exam.pictures.pixels, strict=True))
    write_text(job.folder / "report.html", page(values, rows, images, changes, exam.names, image, origin))
    return LOGS


def shown(result: Result) -> Result:
    """The result as people read it."""
    values: dict[str, Any] = dict(result.values)
    curve = [
        {
            "norm": one["norm"], "eps": one["eps"], "robust accuracy": percent(one["robust_accuracy"]),
            "95 % interval": f"{percent(one['low'])} to {percent(one['high'])}", "images": one["n"],
        }
        for one in values["curve"]
    ]  # fmt: skip
    attacks = [
        {
            "attack": name, "left at the largest radius": percent(one["robust_accuracy"]), "fooled": one["fooled"],
            "forwards an image": round(one["forwards_per_image"], 1),
        }
        for name, one in values["by_attack"].items()
    ]  # fmt: skip
    signs = [
        {"against it": one["indicator"], "share": percent(one["value"]), "means": one["means"]}
        for one in values["evidence"]
        if one["fired"]
    ]
    told: dict[str, object] = {
        "clean accuracy": percent(values["clean_accuracy"]), "curve": curve, "attacks": attacks,
        "forwards an image": round(values["forwards_per_image"], 1),
        "backwards an image": round(values["backwards_per_image"], 1),
        "read back": f"{values['verified']['held']} of {values['verified']['claimed']} changes hold",
        "reliable": "yes" if values["reliable"] else "no",
    }  # fmt: skip
    if result.artifact:
        told["page"] = str(result.artifact / "report.html")
    return replace(result, shown=told | ({"evidence": signs} if signs else {}))
