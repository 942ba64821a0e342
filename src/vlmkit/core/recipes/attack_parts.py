"""What the actions of `vlmkit attack` share: a classifier and labelled images that fit it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vlmkit.core.attack.oracle import TILE, Oracle
from vlmkit.core.configs.attack import Examining
from vlmkit.core.errors import InputError
from vlmkit.core.io.files import digest
from vlmkit.core.io.pictures import Pictures, read_pictures
from vlmkit.core.io.progress import log
from vlmkit.core.models.classifier import Classifier, load_classifier
from vlmkit.core.models.load import resolve_device, resolve_dtype
from vlmkit.core.recipes.attack_checks import check_ids, check_labels

MANY_SHAPES = 8


@dataclass(frozen=True)
class Exam:
    """A classifier and labelled images: `groups` are rows of images of one shape, each in order."""

    model: Classifier
    pictures: Pictures
    groups: list[np.ndarray]
    search: torch.dtype | None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next((one.device for one in self.model.parameters()), torch.device("cpu"))

    @property
    def names(self) -> list[str] | None:
        """The names of the classes, where they are known."""
        return self.model.labels or self.pictures.names

    def only(self, kept: np.ndarray) -> "Exam":
        """The exam with some of its images."""
        old = self.pictures
        pictures = replace(
            old, ids=[old.ids[row] for row in kept], pixels=[old.pixels[row] for row in kept], labels=old.labels[kept]
        )
        return replace(self, pictures=pictures, groups=alike(pictures.pixels))

    def oracle(self, group: np.ndarray) -> Oracle:
        """The model, to be asked about a group."""
        return Oracle(self.model, search=self.search, tile=TILE if len(group) > 1 else 1)

    def stack(self, group: np.ndarray, place: torch.device) -> tuple[Tensor, Tensor, list[str]]:
        """Images (N, C, Y, X), labels (N,) and ids of a group."""
        x = torch.from_numpy(np.stack([self.pictures.pixels[row] for row in group])).to(place)
        y = torch.from_numpy(self.pictures.labels[group]).to(place)
        return x, y, [self.pictures.ids[row] for row in group]


def code_of(words: Sequence[str]) -> dict[str, str]:
    """Digests of the files of code that models are given as: other code is another model."""
    files = {word: Path(word.rpartition(":")[0]) for word in words if word.rpartition(":")[0].endswith(".py")}
    found = {word: path for word, path in files.items() if path.is_file()}
    return {f"{at}:{word.rpartition(':')[2]}": digest(path) for at, (word, path) in enumerate(found.items())}


def open_exam(config: Examining, word: str, images: Path) -> Exam:
    """Load a classifier and the images that it is to be asked about.

    Raises:
        InputError: either will not do, or they do not fit one another.
    """
    place = resolve_device(config.device)
    format_ = resolve_dtype(config.dtype, place)
    model = load_classifier(word, device=str(place), classes=None if config.classes is None else str(config.classes))
    pictures = read_pictures(
        images, count=config.n, labels=model.labels, seed=None if config.n is None else config.seed
    )
    check_ids(pictures, images)
    if config.pixels == "model":
        model, pictures = at_model_size(model, pictures)
    groups = alike(pictures.pixels)
    model.probe(torch.from_numpy(np.stack([pictures.pixels[row] for row in groups[0][:2]])).to(place))
    check_labels(model, pictures, images)
    if len(groups) > MANY_SHAPES and config.pixels == "original":
        log.warning(
            "%s: the images have %d sizes, and only those of one size go together: --pixels model is faster",
            images, len(groups),
        )  # fmt: skip
    return Exam(model, pictures, groups, None if format_ == torch.float32 else format_)


def alike(pixels: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The places of images of each shape."""
    places: dict[tuple[int, ...], list[int]] = {}
    for row, one in enumerate(pixels):
        places.setdefault(one.shape, []).append(row)
    return [np.array(rows) for rows in places.values()]


def at_model_size(model: Classifier, pictures: Pictures) -> tuple[Classifier, Pictures]:
    """The images as the model's processor resizes and crops them, and the model without that."""
    if model.prepare is None:
        raise InputError(
            "this model has no image processor that resizes", where="--pixels model", fix="--pixels original"
        )
    shape = replace(model.prepare, gain=(1.0,), shift=(0.0,), flipped=False)
    model.prepare = replace(model.prepare, target=None, crop=None)
    made = [shape(torch.from_numpy(one)[None])[0].clamp(0, 1).numpy() for one in pictures.pixels]
    return model, replace(pictures, pixels=made)
