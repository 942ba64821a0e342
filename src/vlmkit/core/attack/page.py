"""One page about a model's robustness: the curve, whether it can be trusted, what each attack was worth, and pictures.

It holds no clock, host name or path, so that the same run gives the same bytes.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from vlmkit.core.attack.outcome import FOOLED, Row
from vlmkit.core.io.html import counted, document, number, percent, plain, table
from vlmkit.core.io.images import encode
from vlmkit.core.io.manifest import Input

Values = Mapping[str, Any]
SHOWN, CLASSES = 8, 100  # images a norm, lines of classes
SIDE = 112  # pixels of a picture on the page, at least


@dataclass(frozen=True)
class Origin:
    """From what a run was made: inputs, settings by name, versions of packages."""

    inputs: Sequence[Input]
    settings: Values
    versions: Mapping[str, str]


def page(
    values: Values, rows: Sequence[Row], images: Mapping[str, np.ndarray], changes: Mapping[str, Tensor],
    names: Sequence[str] | None, curve: str, origin: Origin,
) -> str:  # fmt: skip
    """The page as HTML, from the keys of --json, the table's rows, images (C, Y, X) by id, changes by tensor, and the
    curve as SVG."""
    body = ["<h1>How robust the classifier is</h1>", lead(values), trust(values), picture(curve), points(values)]
    body += [attacks(values), *examples(rows, images, changes, names), classes(values), *provenance(origin)]
    return document("How robust the classifier is", body)


def lead(values: Values) -> str:
    """What was found, in a few sentences."""
    curve, clean = values["curve"], values["clean_accuracy"]
    hardest = curve[-1]
    text = [f"Of {counted(hardest['n'], 'image')} the model has {percent(clean)} right as they are, and"]
    text.append(f"{percent(hardest['robust_accuracy'])} at the radius {radius(hardest['eps'])} ({hardest['norm']}).")
    text.append(
        f"It was asked {number(values['forwards_per_image'])} times an image, "
        f"{number(values['backwards_per_image'])} of them for a gradient."
    )
    checked = values["verified"]
    text.append(f"{checked['held']:,} of {checked['claimed']:,} changes hold when they are read back from the files.")
    return f"<p>{' '.join(text)}</p>"


def trust(values: Values) -> str:
    """The verdict and its evidence."""
    rows = [
        [
            f"<code>{plain(one['indicator'])}</code>", percent(one["value"]), f"{one['count']} of {one['of']}",
            '<span class="bad">yes</span>' if one["fired"] else "no", plain(one["means"]),
        ]
        for one in values["evidence"]
    ]  # fmt: skip
    verdict = (
        '<p class="good">Nothing speaks against these numbers.</p>' if values["reliable"]
        else '<div class="warnings"><h2>These numbers cannot be trusted</h2><p>The model may be less robust than they '
        "say: what speaks against them is marked below.</p></div>"
    )  # fmt: skip
    told = table(["indicator", "share", "images", "fires", "what it means when it fires"], rows)
    return f"<h2>Can it be trusted?</h2>{verdict}<details><summary>The evidence</summary>{told}</details>"


def picture(curve: str) -> str:
    """The curve."""
    said = "Images that are right at each radius, with 95 percent intervals; hollow: as they are."
    return f'<figure><div class="picture">{curve}</div><figcaption>{said}</figcaption></figure>'


def points(values: Values) -> str:
    """The curve as a table."""
    rows = [
        [
            plain(one["norm"]), radius(one["eps"]), percent(one["robust_accuracy"]),
            f"{percent(one['low'])} to {percent(one['high'])}", number(one["n"]),
        ]
        for one in values["curve"]
    ]  # fmt: skip
    return table(["norm", "radius", "robust accuracy", "95 % interval", "images"], rows, "The curve")


def attacks(values: Values) -> str:
    """What each attack was worth."""
    rows = [
        [
            f"<code>{plain(name)}</code>", percent(one["robust_accuracy"]), number(one["fooled"]),
            number(one["smallest"]), number(one["forwards_per_image"]), number(one["backwards_per_image"]),
        ]
        for name, one in values["by_attack"].items()
    ]  # fmt: skip
    head = ["attack", "left at the largest radius", "fooled", "smallest change", "forwards an image", "backwards"]
    note = (
        '<p class="dim">In the order they were run, each on what the ones before it left. <code>shorter</code>, '
        "<code>nearer</code> and <code>bisect</code> bring changes that were found nearer to the image.</p>"
    )
    return f"<h2>The attacks</h2>{table(head, rows)}{note}"


def examples(
    rows: Sequence[Row], images: Mapping[str, np.ndarray], changes: Mapping[str, Tensor], names: Sequence[str] | None
) -> Iterator[str]:
    """Pictures of images that were fooled, from the smallest change to the largest."""
    for norm in dict.fromkeys(row["norm"] for row in rows):
        fooled = sorted(
            (row for row in rows if row["norm"] == norm and row["status"] == FOOLED),
            key=lambda row: (row["radius_high"], row["id"]),
        )
        if not fooled:
            continue
        chosen = [fooled[place] for place in sorted({*np.linspace(0, len(fooled) - 1, SHOWN).round().astype(int)})]
        cells = [example(row, images[row["id"]], changes[row["tensor"]][row["row"]].numpy(), names) for row in chosen]
        head = ["image", "clean", "changed", "difference, magnified", "its spectrum", "radius", "clean, then changed"]
        yield f"<h2>Changes that fool it, {norm}</h2>{table(head, cells)}"
        yield (
            '<p class="dim">From the smallest to the largest. In the spectrum low frequencies are at the centre; '
            "brighter is more energy, on a logarithmic scale.</p>"
        )


def example(row: Row, image: np.ndarray, change: np.ndarray, names: Sequence[str] | None) -> list[str]:
    """The cells of an image."""
    most = float(np.abs(change).max())
    spectrum = np.log1p(np.abs(np.fft.fftshift(np.fft.fft2(change), axes=(-2, -1))).mean(0))
    shown = [image, image + change, 0.5 + change / (2 * most), (spectrum / max(float(spectrum.max()), 1e-12))[None]]
    before, after = named(row["clean_prediction"], names), named(row["prediction"], names)
    cells = [picture_of(one, row["id"]) for one in shown]
    return [plain(row["id"], most=24), *cells, radius(row["radius_high"]), f"{before}, then {after}"]


def picture_of(pixels: np.ndarray, name: str) -> str:
    """Pixels (C, Y, X) in [0, 1] as a picture on the page; small ones are enlarged by whole numbers."""
    times = max(1, SIDE // max(pixels.shape[1:]))
    grey = pixels.shape[0] != 3
    flat = (255 * pixels.clip(0, 1)).round().astype(np.uint8)
    whole = np.ascontiguousarray(flat[0] if grey else flat.transpose(1, 2, 0))
    data = encode(whole.repeat(times, 0).repeat(times, 1), "picture")["bytes"]
    assert isinstance(data, bytes)
    height = max(SIDE, min(whole.shape[0] * times, 2 * SIDE))
    return f'<img alt="{plain(name, most=24)[5:-6]}" height="{height}" src="data:image/png;base64,{b64(data)}">'


def b64(data: bytes) -> str:
    """Bytes as a page holds them."""
    return base64.b64encode(data).decode()


def named(label: int, names: Sequence[str] | None) -> str:
    """A class by its name, where it has one."""
    return plain(names[label], most=32) if names and label < len(names) else str(label)


def classes(values: Values) -> str:
    """Each class at each radius."""
    some = values["per_class"]
    points_ = [(one["norm"], one["eps"]) for one in some[0]["robust"]]
    head = ["class", "images", "clean", *(f"{norm} {radius(eps)}" for norm, eps in points_)]
    rows = [
        [
            plain(one["name"], most=40), number(one["n"]), percent(one["clean_accuracy"]),
            *(percent(at["robust_accuracy"]) for at in one["robust"]),
        ]
        for one in some[:CLASSES]
    ]  # fmt: skip
    more = f'<p class="dim">and {len(some) - CLASSES:,} more classes</p>' if len(some) > CLASSES else ""
    return (
        f"<h2>By class</h2><details><summary>{counted(len(some), 'class')}</summary>{table(head, rows)}{more}</details>"
    )


def radius(eps: float) -> str:
    """A radius as people write it: in 1/255 where that is a round number and a decimal is not."""
    steps = 255 * eps
    if 0.9 < steps < 255 and abs(steps - round(steps)) < 1e-6 and abs(eps - round(eps, 3)) > 1e-9:
        return f"{round(steps)}/255"
    return number(eps, digits=3)


def provenance(origin: Origin) -> Iterator[str]:
    """From what, by which settings and versions."""
    yield "<h2>From what, and how</h2>"
    yield table(
        ["input", "digest"], [[plain(one.kind), f"<code>{one.content_digest[:16]}</code>"] for one in origin.inputs]
    )
    told = [
        [plain(name), f"<code>{plain(json.dumps(value))}</code>"] for name, value in sorted(origin.settings.items())
    ]
    yield f"<details><summary>Settings</summary>{table(['setting', 'value'], told)}</details>"
    pinned = [[plain(name), plain(version)] for name, version in origin.versions.items()]
    yield f"<details><summary>Versions</summary>{table(['package', 'version'], pinned)}</details>"
