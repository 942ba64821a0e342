"""The page of `vlmkit attack spectrum`."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from vlmkit.core.attack.bands import BANDS, cutoff_of, part
from vlmkit.core.attack.charts import Line, lines, plane
from vlmkit.core.attack.page import picture_of, radius
from vlmkit.core.attack.spectrum import Parts
from vlmkit.core.io.html import percent, plain, table
from vlmkit.core.io.job import Job
from vlmkit.core.recipes.attack_parts import Exam
from vlmkit.core.recipes.attack_study import chart, commonest, logs_of, publish

SHOWN = 6
PLANE = (
    "Mean energy of each coefficient. The lines cut the bands: low top left, high bottom right, mixed the other two."
)


def write_page(job: Job, exam: Exam, values: dict[str, Any], found: Mapping[float, Parts]) -> list[str]:
    """Write the charts and the page; the files that are no data."""
    largest = max(found)
    names = list(dict.fromkeys(one["change"] for one in values["bands"]))
    drawn = [line_of(values, name) for name in names if not name.startswith("without")]
    rings = [ring_line(one) for one in values["radial"]]
    shape = exam.pictures.pixels[commonest(exam)].shape
    planes = [one["plane"] for _, one in found[largest] if one["change"].shape[1:] == shape]
    cutoff = values["cutoff"] or cutoff_of(*shape[1:])
    bands = partial(lines, drawn, title="Images right with a band of the change", across="radius", up="percent")
    where = partial(
        lines, rings, title="Where the energy of the changes lies", across="frequency, share of the highest (corner)",
        up="energy, times that of white noise", percents=False, log=True,
    )  # fmt: skip
    energy = partial(plane, torch.cat(planes).mean(0).numpy(), title=f"Changes at radius {largest:.4g}", cutoff=cutoff)
    parts = [
        chart(job, "bands", bands, "Each band of the change alone, and attacks that are confined to a band."),
        bands_table(values, names), energy_table(values), image_table(values),
        chart(job, "radial", where, "Mean energy of a coefficient in each ring of the DCT plane."),
        chart(job, "plane", energy, PLANE, small=True),
        examples(exam, found[largest], cutoff),
    ]  # fmt: skip
    publish(job, "Which frequencies fool the classifier", lead(values), parts)
    return logs_of("bands", "radial", "plane")


def lead(values: dict[str, Any]) -> str:
    """What was found, in a few sentences."""
    last = values["bands"][-1]["eps"]
    at = {one["change"]: one["accuracy"] for one in values["bands"] if one["eps"] == last}
    energy = {one["band"]: one for one in values["energy"] if one["eps"] == last}
    low, places = energy["low"]["share"], energy["low"]["coefficients"]
    return (
        f"The model has {percent(values['clean_accuracy'])} of {values['n']:,} images right as they are. At the radius "
        f"{radius(last)} the change takes it to {percent(at['all'])}; of the change, low frequencies alone leave "
        f"{percent(at['low'])}, mixed ones {percent(at['mixed'])} and high ones {percent(at['high'])}. "
        f"{percent(low)} of its energy lies in the low band, which has {percent(places)} of the coefficients."
    )


def line_of(values: dict[str, Any], name: str) -> Line:
    """A change's accuracies over the radii."""
    mine = [one for one in values["bands"] if one["change"] == name]
    x, y = [one["eps"] for one in mine], [one["accuracy"] for one in mine]
    return Line(name, [0.0, *x], [values["clean_accuracy"], *y])


def ring_line(point: dict[str, Any]) -> Line:
    """A radius's energies over the rings."""
    count = len(point["energy"])
    middles = [(at + 0.5) / count for at in range(count)]
    return Line(f"radius {point['eps']:.4g}", middles, [count * (one or 0.0) for one in point["energy"]])


def bands_table(values: dict[str, Any], names: list[str]) -> str:
    """Accuracies by radius and band."""
    radii = list(dict.fromkeys(one["eps"] for one in values["bands"]))
    at = {(one["eps"], one["change"]): one for one in values["bands"]}
    rows = [
        [plain(name), *(f"{percent(at[eps, name]['accuracy'])}" for eps in radii)] for name in names
    ]  # fmt: skip
    note = '<p class="dim">pgd-low and pgd-high are attacks of their own, within the radius and the band.</p>'
    return table(["change", *(radius(eps) for eps in radii)], rows, "Accuracy with a part of the change") + note


def energy_table(values: dict[str, Any]) -> str:
    """Where the energy lies, beside the share of the coefficients."""
    radii = list(dict.fromkeys(one["eps"] for one in values["energy"]))
    at = {(one["eps"], one["band"]): one for one in values["energy"]}
    rows = [
        [band, percent(at[radii[0], band]["coefficients"]), *(percent(at[eps, band]["share"]) for eps in radii)]
        for band in BANDS
    ]
    return table(["band", "of the coefficients", *(radius(eps) for eps in radii)], rows, "Energy of the change")


def image_table(values: dict[str, Any]) -> str:
    """What the model needs of an image."""
    rows = [
        [one["without"], percent(one["accuracy"]), f"{percent(one['low'])} to {percent(one['high'])}"]
        for one in values["image"]
    ]
    return table(["band taken away", "accuracy", "95 % interval"], rows, "Images without a band of their own")


def examples(exam: Exam, parts: Parts, cutoff: int) -> str:
    """Some images with their changes and the bands of these."""
    shape = exam.pictures.pixels[commonest(exam)].shape
    group, held = next((group, one) for group, one in parts if one["change"].shape[1:] == shape)
    rows = []
    for at, place in enumerate(group.tolist()[:SHOWN]):
        image, change = exam.pictures.pixels[place], held["change"][at : at + 1]
        most = max(float(change.abs().max()), 1e-12)
        shown = [change, *(part(change, band, cutoff) for band in BANDS)]
        cells = [picture_of(0.5 + one[0].numpy() / (2 * most), exam.pictures.ids[place]) for one in shown]
        rows.append([plain(exam.pictures.ids[place], most=24), picture_of(image, exam.pictures.ids[place]), *cells])
    head = ["image", "as it is", "change", *BANDS]
    note = '<p class="dim">Changes at the largest radius, magnified alike in each row.</p>'
    return f"<h2>Changes and their bands</h2>{table(head, rows)}{note}"
