"""The page of `vlmkit attack features`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from vlmkit.core.attack.charts import Line, dots, lines
from vlmkit.core.attack.features import mosaic
from vlmkit.core.attack.page import b64, picture_of, radius
from vlmkit.core.configs.attack_features import AttackFeaturesConfig
from vlmkit.core.io.files import write_bytes
from vlmkit.core.io.html import number, percent, plain, table
from vlmkit.core.io.images import encode
from vlmkit.core.io.job import Job, Result
from vlmkit.core.recipes.attack_parts import Exam
from vlmkit.core.recipes.attack_study import chart, logs_of, publish

SMALL = "width:15rem; max-width:none; image-rendering:pixelated"
NOTE = (
    "The share of low frequencies is that of frequencies below half of the highest on both axes, without the mean; "
    "beside it, that of white noise on maps of this size. It compares only between maps of like sizes."
)


def write_page(
    job: Job, config: AttackFeaturesConfig, exams: Sequence[Exam], values: dict[str, Any],
    first: Sequence[tuple[np.ndarray, Mapping[str, Tensor]]],
) -> list[str]:  # fmt: skip
    """Write charts, feature maps and the page, from the first piece of each model; the files that are no data."""
    models = values["models"]
    drifts = [
        Line(one["name"], [at["layer"] for at in one["layers"]], [at["drift"] for at in one["layers"]])
        for one in models
    ]
    moved = partial(
        lines, drifts, title="How far an attack moves each layer", across="layer", up="|h' - h| / |h|", percents=False
    )
    said = "Mean over images of the relative change in L2, at the radius of the attack, by layer."
    parts = [summary(values), f'<p class="dim">{NOTE}</p>', chart(job, "drift", moved, said)]
    charts = ["drift"]
    if values["correlation"]["pearson"] is not None:
        shares, robust = ([one[key] for one in models] for key in ("low_share", "robust_accuracy"))
        title, across = "Low frequencies and robustness", "low frequencies in the early layer, percent of the energy"
        drawn = partial(
            dots, [one["name"] for one in models], shares, robust, title=title, across=across, up="robust, percent"
        )
        parts.append(chart(job, "correlation", drawn, correlation_told(values["correlation"])))
        charts.append("correlation")
    pictures = []
    for number_, (one, exam, (group, held)) in enumerate(zip(models, exams, first, strict=True)):
        html, files = feature_maps(job, exam, group, held, number_, config.layer)
        parts += [f"<h2>{plain(one['name'])}</h2>", layers_table(one), html]
        pictures += files
    publish(job, "What the layers make of images", lead(values), parts)
    return [*logs_of(*charts), *pictures]


def lead(values: dict[str, Any]) -> str:
    """What was found, in a few sentences."""
    told = [
        f"{plain(one['name'])} has {percent(one['robust_accuracy'])} right at the radius {radius(values['eps'])}, with "
        f"{percent(one['low_share'])} of the energy of layer {values['layer']} in low frequencies."
        for one in values["models"]
    ]
    return f"{' '.join(told)} {correlation_told(values['correlation'])}"


def correlation_told(found: dict[str, Any]) -> str:
    """The correlation in words."""
    if found["pearson"] is None:
        return "Below three models, or with equal ones, there is no correlation to tell."
    return (
        f"Over {found['n']} models the correlation of the two is {number(found['pearson'])} (Pearson, p = "
        f"{number(found['pearson_p'], digits=2)}) and {number(found['spearman'])} (Spearman)."
    )


def summary(values: dict[str, Any]) -> str:
    """A line a model."""
    rows = [
        [
            plain(one["name"], most=40), percent(one["clean_accuracy"]), percent(one["robust_accuracy"]),
            f"{percent(one['robust_low'])} to {percent(one['robust_high'])}", percent(one["low_share"]),
            percent(one["white"]), *map(percent, one["bands"]),
        ]
        for one in values["models"]
    ]  # fmt: skip
    head = ["model", "clean", "robust", "95 % interval", "low frequencies", "of white noise"]
    thirds = [f"{which} third" for which in ("lowest", "middle", "highest")]
    found = [
        [name, number(one["pearson"]), number(one["pearson_p"], digits=2), number(one["spearman"])]
        for name, one in zip(thirds, values["correlation_by_band"], strict=True)
    ]
    by_band = table(["energy in", "Pearson", "p", "Spearman"], found, "Correlation with robust accuracy, by band")
    return table([*head, *thirds], rows) + (by_band if len(rows) > 2 else "")


def layers_table(one: dict[str, Any]) -> str:
    """A line a layer."""
    rows = [
        [number(at["layer"]), f"{at['rows']} × {at['columns']}", percent(at["low_share"]), percent(at["white"]),
         number(at["drift"])]
        for at in one["layers"]
    ]  # fmt: skip
    return table(["layer", "maps", "low frequencies", "of white noise", "drift"], rows)


def feature_maps(
    job: Job, exam: Exam, group: np.ndarray, held: Mapping[str, Tensor], number_: int, layer: int
) -> tuple[str, list[str]]:
    """Images with the maps of an early layer, before and after; and the files."""
    rows, files = [], []
    for at in range(len(held["before"])):
        place = int(group[at])
        before, after = held["before"][at], held["after"][at]
        cells = []
        for what, one in (("clean", before), ("attacked", after), ("difference", after - before)):
            page = mosaic(one)
            files.append(f"maps-{number_}-{at}-{what}.png")
            data = encode(page, what)["bytes"]
            assert isinstance(data, bytes)
            write_bytes(job.folder / files[-1], data)
            cells.append(f'<img alt="{what}" style="{SMALL}" src="data:image/png;base64,{b64(data)}">')
        shown_ = [picture_of(exam.pictures.pixels[place], "clean"), picture_of(held["points"][at].numpy(), "attacked")]
        rows.append([plain(exam.pictures.ids[place], most=24), "<br>".join(shown_), *cells])
    if not rows:
        return "", []
    head = ["image", "as it is, attacked", f"layer {layer}", "attacked", "difference"]
    note = f"The first channels of layer {layer}, each from its least value (black) to its largest (white)."
    return f'{table(head, rows, "Feature maps")}<p class="dim">{note}</p>', files


def shown(result: Result) -> Result:
    """The result as people read it."""
    values: dict[str, Any] = dict(result.values)
    models = [
        {
            "model": one["name"], "clean": percent(one["clean_accuracy"]), "robust": percent(one["robust_accuracy"]),
            "low frequencies": percent(one["low_share"]), "of white noise": percent(one["white"]),
            "drift, last layer": number(one["layers"][-1]["drift"]),
        }
        for one in values["models"]
    ]  # fmt: skip
    told: dict[str, object] = {"models": models, "correlation": values["correlation"]}
    return replace(result, shown=told | ({"page": str(result.artifact / "report.html")} if result.artifact else {}))
