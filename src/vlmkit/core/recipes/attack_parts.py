"""What the actions of `vlmkit attack` share: a classifier and labelled images that fit it."""

from collections import Counter
from collections.abc import Mapping, Sequence
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

PERMUTED = 0.5  # of the images are right in another order of the classes: that order is what is wrong
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


def check_ids(pictures: Pictures, images: Path) -> None:
    """Refuse an id that two images have: what is found of an image goes by its id."""
    name, count = Counter(pictures.ids).most_common(1)[0]
    if count > 1:
        fix = "give each image an id of its own, or leave the column out"
        raise InputError(f"the id '{name}' is that of {count} images", where=str(images), fix=fix)


def check_labels(model: Classifier, pictures: Pictures, images: Path) -> None:
    """Refuse labels beyond the model's classes."""
    assert model.num_classes is not None
    beyond = np.flatnonzero(pictures.labels >= model.num_classes)
    if len(beyond):
        raise InputError(
            f"the label {pictures.labels[beyond[0]]} of image '{pictures.ids[beyond[0]]}' is beyond the model's "
            f"{model.num_classes} classes (0 to {model.num_classes - 1})",
            where=str(images), fix="labels begin at 0; are these the images of another model?",
        )  # fmt: skip


def check_chance(given: np.ndarray, labels: np.ndarray, num_classes: int, where: str) -> None:
    """Refuse a clean accuracy that guessing has too: nothing can be told of such a model.

    Raises:
        InputError: saying whether another order of the classes would fit.
    """
    accuracy = float((given == labels).mean())
    if accuracy > 1 / num_classes:
        return
    pairs = Counter(zip(labels.tolist(), given.tolist(), strict=True))
    best, used = permuted(pairs)
    fix = "check that labels and model belong together, and that the model is trained"
    if best / len(labels) >= PERMUTED:
        shown = ", ".join(f"{label} is called {other}" for label, other in list(used.items())[:4])
        fix = f"the classes are in another order ({shown}, …): name them in the model's order with --classes"
    what = f"the model has {accuracy:.1%} of the clean images right, no more than guessing among {num_classes} classes"
    raise InputError(what, where=where, fix=fix)


def permuted(pairs: Mapping[tuple[int, int], int]) -> tuple[int, dict[int, int]]:
    """How many images another order of the classes has right, and that order, taking the commonest pairs first."""
    used: dict[int, int] = {}
    total = 0
    for (label, other), count in sorted(pairs.items(), key=lambda item: (-item[1], item[0])):
        if label not in used and other not in used.values():
            used[label] = other
            total += count
    return total, dict(sorted(used.items()))
