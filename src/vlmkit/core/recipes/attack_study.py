"""What the studies of `vlmkit attack` share: images in pieces, pieces kept on the disk, shares, charts and the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from vlmkit.core.attack.balls import Ball
from vlmkit.core.attack.losses import ce
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.page import Origin, provenance
from vlmkit.core.attack.steps import Steps
from vlmkit.core.configs.attack import Examining
from vlmkit.core.io.artifacts import find
from vlmkit.core.io.files import write_bytes, write_text
from vlmkit.core.io.html import document, plain
from vlmkit.core.io.job import Job, versions
from vlmkit.core.io.plots import PNG, SVG, saved
from vlmkit.core.io.tensors import load_tensors, save_tensors
from vlmkit.core.models.load import read_config
from vlmkit.core.recipes.attack import clean
from vlmkit.core.recipes.attack_checks import check_chance
from vlmkit.core.recipes.attack_parts import Exam, open_exam

PIECE = 4  # batches that are kept on the disk together
TABLE, CHANGES, PAGE = "part-00000.parquet", "deltas.safetensors", "report.html"

ATTACKS: dict[str, Callable[[Ball], Steps]] = {
    "pgd": lambda ball: Steps("pgd-40", ball, ce, 40, 1 / 30),
    "fgsm": lambda ball: Steps("fgsm", ball, ce, 1, 1.0, random_start=False),
}


def open_exams(config: Examining, words: Sequence[str], images: Path) -> list[Exam]:
    """Several models with the same images; names of classes are for those models that have none of their own."""
    bare = replace(config, classes=None)
    return [open_exam(bare if has_head(word) else config, word, images) for word in words]


def has_head(word: str) -> bool:
    """Whether a model is a transformers folder with a head for its own classes."""
    folder = Path(word)
    if not folder.is_dir():
        return False
    config = read_config(find(folder, "model"))
    return any("ForImageClassification" in name for name in config.architectures or [])


def clean_right(exam: Exam, batch: int) -> np.ndarray:
    """Which images (N,) the model has right as they are.

    Raises:
        InputError: no more than chance would give.
    """
    given, _ = clean(exam, batch)
    assert exam.model.num_classes is not None
    check_chance(given, exam.pictures.labels, exam.model.num_classes, exam.model.where)
    right: np.ndarray = given == exam.pictures.labels
    return right


def pieces(exam: Exam, config: Examining) -> list[np.ndarray]:
    """The places of images of one shape each, some batches at a time."""
    rows = PIECE * config.batch_size
    return [group[start : start + rows] for group in exam.groups for start in range(0, len(group), rows)]


def oracle_of(exam: Exam, piece: np.ndarray) -> Oracle:
    """The model, to be asked about a piece; of a piece of one image as it is of any other of that shape, so that where
    the pieces end changes no bit."""
    return exam.oracle(next(group for group in exam.groups if piece[0] in group))


def commonest(exam: Exam) -> int:
    """The place of the first image of the commonest shape."""
    return int(max(exam.groups, key=len)[0])


def kept(place: Path, make: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors that an earlier run has left, or that are made now and left for a later one."""
    if not place.is_file():
        save_tensors(place, {name: one.cpu().contiguous() for name, one in make().items()})
    return load_tensors(place)


def names_of(words: Sequence[str]) -> list[str]:
    """Models by the last part of their paths, or by the whole where that is not enough."""
    last = [Path(word).name for word in words]
    return last if len(set(last)) == len(last) else list(words)


def chart(job: Job, name: str, draw: Callable[[], Figure], said: str, *, small: bool = False) -> str:
    """Write a chart as NAME.svg and NAME.png, and give it as a part of the page."""
    text, pixels = saved(draw, SVG, PNG | {"dpi": 120})
    write_text(job.folder / f"{name}.svg", text.decode())
    write_bytes(job.folder / f"{name}.png", pixels)
    style = ' style="display:inline-block; max-width:100%"' if small else ""
    inner = text.decode()
    if small:
        inner = inner.replace("<svg ", '<svg style="min-width:0; width:auto" ', 1)
    return f'<figure><div class="picture"{style}>{inner}</div><figcaption>{plain(said, most=600)}</figcaption></figure>'


def publish(job: Job, title: str, lead: str, parts: Sequence[str]) -> None:
    """Write the page: what was found in a few sentences of HTML, its parts, and from what it was made."""
    origin = Origin(job.inputs, job.settings, versions())
    body = [f"<h1>{plain(title)}</h1>", f"<p>{lead}</p>", *parts, *provenance(origin)]
    write_text(job.folder / PAGE, document(title, body))


def logs_of(*charts: str) -> list[str]:
    """The files that are no data."""
    return [PAGE, *(f"{name}.{ending}" for name in charts for ending in ("svg", "png"))]
