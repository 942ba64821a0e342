"""The quality of a page by a fastText classifier, as DCLM-Baseline has it (Li et al. 2024, section 4.4).

A page is one line: stripped, its lines joined by spaces. Its score is the probability of the good label: that of the
likeliest label if it is the good one, else one less it, as DCLM computes it for two labels. Kept are scores at or above
a bound (0.018112 for the classifier that they released), or a share of the documents; among equal scores the earlier
documents are kept.
"""

import ctypes
import hashlib
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlmkit.core.curate.language import LABEL, load_fasttext, predict
from vlmkit.core.errors import InputError

GOOD, BAD = "hq", "cc"  # the labels of DCLM
MODEL = "model.bin"
HELD_OUT = 20  # one text in so many judges the classifier
LEAST = 10  # texts of each kind
PERTURB = -6  # glibc's M_PERTURB


def line_of(text: str) -> str:
    """A page as the line that the classifier reads."""
    return " ".join(text.strip().splitlines())


class Classifier:
    """A fastText classifier of texts read from a file, or from the folder that `train-quality` wrote; without a label,
    the good one is the one of two that is not `cc`, or `hq`."""

    def __init__(self, path: Path, *, label: str | None = GOOD) -> None:
        file = path / MODEL if path.is_dir() else path
        self._model = load_fasttext(file, what="--quality-model FILE.bin, or the folder that train-quality wrote")
        labels = [name.removeprefix(LABEL) for name in self._model.get_labels()]
        if label is None:
            label = next(one for one in labels if one != BAD) if len(labels) == 2 and BAD in labels else GOOD
        if label not in labels:
            raise InputError(
                f"this classifier knows no label '{label}'", where=str(file), fix=f"--quality-label {labels[0]}"
            )
        self._label, self._two = LABEL + label, len(labels) == 2

    def score(self, text: str) -> float:
        """The probability of the good label; 0 for a text without a feature that the classifier knows."""
        found = predict(self._model, line_of(text), count=1 if self._two else -1)
        if not found:
            return 0.0
        if self._two:
            (value, label), *_ = found
            return float(value if label == self._label else 1 - value)
        return float(next(value for value, label in found if label == self._label))


def good_enough(scores: np.ndarray, *, threshold: float | None, keep: float | None) -> tuple[np.ndarray, float]:
    """Which of the documents (N,) are kept, and the least score of a kept one: those at or above the threshold, or
    exactly ceil(keep N) of them, the best first, the earlier ones among equals."""
    if keep is None:
        bound = 0.0 if threshold is None else threshold
        return scores >= bound, bound
    count = math.ceil(round(keep * scores.size, 9))
    best = np.lexsort((np.arange(scores.size), -scores))[:count]
    kept = np.zeros(scores.size, bool)
    kept[best] = True
    return kept, float(scores[best].min()) if count else 0.0


@dataclass(frozen=True)
class Training:
    """How a classifier is trained: the arguments of fastText (Joulin et al. 2017), with the defaults of DCLM."""

    rate: float = 0.1
    dimension: int = 100
    epochs: int = 5
    ngrams: int = 2
    buckets: int = 2_000_000
    least_count: int = 1
    seed: int = 0


def split_texts(positive: Iterable[str], negative: Iterable[str]) -> tuple[list[str], list[str]]:
    """Lines with their labels, to train on and to judge by; a text judges when its digest says so, so that the same
    text does not do both.

    Raises:
        InputError: too few texts of a kind.
    """
    train: list[str] = []
    judge: list[str] = []
    for label, texts, option in ((GOOD, positive, "--positive"), (BAD, negative, "--negative")):
        count = 0
        for text in texts:
            line = line_of(text)
            if line:
                held = hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest()
                (judge if int.from_bytes(held, "big") % HELD_OUT == 0 else train).append(f"{LABEL}{label} {line}")
                count += 1
        if count < LEAST:
            raise InputError(f"{count} texts are too few", where=option, fix=f"{LEAST} or more")
    return train, judge


def train(lines: Path, training: Training) -> Any:
    """A classifier of the lines of a file: on one thread, so that it is the same every time."""
    import fasttext

    with zeroed_memory():
        return fasttext.train_supervised(
            input=str(lines), lr=training.rate, dim=training.dimension, epoch=training.epochs,
            wordNgrams=training.ngrams, bucket=training.buckets, minCount=training.least_count, seed=training.seed,
            thread=1, verbose=0,
        )  # fmt: skip


@contextmanager
def zeroed_memory() -> Iterator[None]:
    """Memory that comes zeroed, from glibc. fastText's wheels for NumPy 2 set a tenth of their vectors a thread and
    leave the others as they find them: with few buckets that is what was freed before, and training ends in NaN or
    differs from run to run. Large matrices come zeroed anyway."""
    try:
        adjust = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another system: nothing to adjust
        adjust = None
    if adjust:
        adjust(PERTURB, 0xFF)  # every byte is set to the complement of this one
    try:
        yield
    finally:
        if adjust:
            adjust(PERTURB, 0)


def judge(classifier: Classifier, lines: list[str]) -> dict[str, float | int | None]:
    """How well a classifier tells held-out lines apart: accuracy at one half, and the area under its curve (the
    probability that a good text scores above a bad one); None where one kind is missing."""
    good = np.array([line.startswith(LABEL + GOOD) for line in lines], bool)
    scores = np.array([classifier.score(line.split(" ", 1)[1]) for line in lines])
    found: dict[str, float | int | None] = {"held_out": len(lines), "accuracy": None, "area": None}
    if not 0 < good.sum() < good.size:
        return found
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(scores.size)
    ranks[order] = np.arange(1, scores.size + 1)
    _, at = np.unique(scores, return_inverse=True)  # equal scores share their mean rank
    ranks = (np.bincount(at, ranks) / np.bincount(at))[at]
    wins = ranks[good].sum() - good.sum() * (good.sum() + 1) / 2
    area = wins / (good.sum() * (~good).sum())
    return found | {"accuracy": float(np.mean((scores >= 0.5) == good)), "area": float(area)}
