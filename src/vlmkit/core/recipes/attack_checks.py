"""What `vlmkit attack` refuses once a classifier and images are there: they do not belong together."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.io.pictures import Pictures
from vlmkit.core.models.classifier import Classifier

PERMUTED = 0.5  # of the images are right in another order of the classes: that order is what is wrong


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
