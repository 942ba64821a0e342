"""The page of `vlmkit attack patch-fool`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from vlmkit.core.attack.page import named, picture_of
from vlmkit.core.attack.shares import spread
from vlmkit.core.io.html import number, percent, plain, table
from vlmkit.core.io.job import Job, Result
from vlmkit.core.recipes.attack_parts import Exam
from vlmkit.core.recipes.attack_study import PAGE, publish

SHOWN = 8


def write_page(
    job: Job,
    exam: Exam,
    values: dict[str, Any],
    some: Sequence[tuple[np.ndarray, Mapping[str, Tensor]]],
    clean: np.ndarray,
) -> None:
    """Write the page."""
    fooled = spread([(group, part["fooled"]) for group, part in some])
    lines = [
        [number(one["patches"]), percent(one["fooled"]), percent(one["accuracy"]),
         f"{percent(one['low'])} to {percent(one['high'])}", number(one["median_steps"])]
        for one in values["patched"]
    ]  # fmt: skip
    head = ["patches", "fooled, of those right", "accuracy left", "95 % interval", "steps, median"]
    rows: list[list[str]] = []
    for group, part in some:
        for at, place in enumerate(group.tolist()):
            if len(rows) < SHOWN and clean[place] and fooled[place]:
                image, name = exam.pictures.pixels[place], exam.pictures.ids[place]
                before, after = int(exam.pictures.labels[place]), int(part["prediction"][at])
                told = f"{named(before, exam.names)}, then {named(after, exam.names)}"
                cells = [picture_of(image, name), picture_of(image + part["change"][at].numpy(), name)]
                rows.append([plain(name, most=24), *cells, told, number(int(part["steps"][at]))])
    last = values["patched"][-1]
    lead = (
        f"Of the images that the model has right as they are, {percent(last['fooled'])} are fooled when "
        f"{last['patches']} of its patches may be changed at will. This is no attack within a ball: anyone sees the "
        "change. It tells how far the model leans on single tokens."
    )
    pictures = (
        table(["image", "as it is", "changed", "class", "steps"], rows, "Images that were fooled") if rows else ""
    )
    publish(job, "What single patches can do", lead, [table(head, lines), pictures])


def shown(result: Result) -> Result:
    """The result as people read it."""
    values: dict[str, Any] = dict(result.values)
    told = [
        {
            "patches": one["patches"],
            "fooled, of those right": percent(one["fooled"]),
            "accuracy": percent(one["accuracy"]),
        }
        for one in values["patched"]
    ]
    page = {"page": str(result.artifact / PAGE)} if result.artifact else {}
    return replace(result, shown={"clean accuracy": percent(values["clean_accuracy"]), "patches": told, **page})
