"""Transfer: what fools one model is shown to the others (Shao et al. 2021, section on black-box attacks).

k models are attacked once each, not once for each of k^2 pairs.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from vlmkit.core.attack.bands import right
from vlmkit.core.attack.ends import ends
from vlmkit.core.attack.lanes import Attack
from vlmkit.core.attack.oracle import Oracle


def transfers(
    oracles: Sequence[Oracle], x: Tensor, labels: Sequence[Tensor], ids: Sequence[str], attack: Attack, *, eps: float,
    lanes: int, seed: int,
) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
    """For each source model the points at which an attack on it ends (N, C, Y, X), and which of them each model has
    right (k, N); images x (N, C, Y, X) are the same for all, labels (N,) are each model's own, for classes may be in
    another order. Its own row is its white-box accuracy; the paper gives 100 (1 - accuracy)."""
    for source, y in zip(oracles, labels, strict=True):
        points = ends(attack, source, x, y, ids, eps=eps, lanes=lanes, seed=seed).last
        judged = [right(target, points, own, lanes=lanes) for target, own in zip(oracles, labels, strict=True)]
        yield points, torch.stack(judged)


def carried(right: np.ndarray, clean: np.ndarray, source: int, target: int) -> float | None:
    """Of the images that an attack on a source fools, and that both have right as they are, the share that fools the
    target too: from which are right under that attack (k, N) and as they are (k, N). None where there is no such image.
    """
    asked = clean[source] & clean[target] & ~right[source]
    return float((~right[target])[asked].mean()) if asked.any() else None
