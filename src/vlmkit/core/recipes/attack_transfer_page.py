"""The page of `vlmkit attack transfer`."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from vlmkit.core.attack.charts import matrix
from vlmkit.core.attack.page import picture_of, radius
from vlmkit.core.io.html import percent, plain, table
from vlmkit.core.io.job import Job, Result
from vlmkit.core.recipes.attack_parts import Exam
from vlmkit.core.recipes.attack_study import chart, publish


def write_page(job: Job, exam: Exam, values: dict[str, Any], points: Tensor, group: np.ndarray) -> None:
    """Write the chart and the page."""
    names, last = values["models"], values["matrices"][-1]
    k, off = len(names), ~np.eye(len(names), dtype=bool)
    shares = np.array(last["accuracy"])
    title = f"Right at radius {last['eps']:.4g}"
    square = partial(matrix, shares, names, title=title, across="asked", up="attacked")
    tables = [
        table(
            ["attacked", *(plain(name, most=24) for name in names)],
            [[plain(names[row], most=24), *(percent(one) for one in some)] for row, some in enumerate(part[key])],
            f"{said}, radius {radius(part['eps'])}",
        )
        for part in values["matrices"]
        for key, said in (
            ("accuracy", "Images right"),
            ("carried", "Of what fools the attacked model, fools the other"),
        )
    ]
    head = ["image", "as it is", *(f"for {plain(name, most=24)}" for name in names)]
    rows = [
        [plain(exam.pictures.ids[place], most=24), picture_of(exam.pictures.pixels[place], "clean"),
         *(picture_of(points[source, at].numpy(), "changed") for source in range(k))]
        for at, place in enumerate(group.tolist()[: points.shape[1]])
    ]  # fmt: skip
    lead = (
        f"Changes of radius {radius(last['eps'])} that were made for one model by {plain(values['attack'])}, shown to "
        f"all. Under its own attack a model has {percent(np.diag(shares).mean())} of {values['n']:,} images right on "
        f"the mean, under those of others {percent(shares[off].mean())}."
    )
    said = (
        "A row is the model that was attacked, a column the model that was asked; the diagonal is white-box accuracy."
    )
    parts = [chart(job, "matrix", square, said, small=True), *tables]
    publish(job, "How far changes carry", lead, [*parts, f"<h2>Changed images</h2>{table(head, rows)}"])


def shown(result: Result) -> Result:
    """The result as people read it."""
    values: dict[str, Any] = dict(result.values)
    if "matrices" not in values:
        return result
    last = values["matrices"][-1]
    square = [
        {"attacked": name, **{other: percent(one) for other, one in zip(values["models"], some, strict=True)}}
        for name, some in zip(values["models"], last["accuracy"], strict=True)
    ]
    clean = {name: percent(one) for name, one in zip(values["models"], values["clean_accuracy"], strict=True)}
    told: dict[str, object] = {"clean accuracy": clean, f"accuracy at radius {last['eps']:.4g}": square}
    return replace(result, shown=told | ({"page": str(result.artifact / "report.html")} if result.artifact else {}))
