"""Transfer: what fools one model is shown to the others (Shao et al. 2021, section on black-box attacks).

k models are attacked once each, not once for each of k^2 pairs.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vlmkit.core.attack.bands import right
from vlmkit.core.attack.ends import ends
from vlmkit.core.attack.lanes import Attack
from vlmkit.core.attack.oracle import Oracle


def transfers(
    oracles: Sequence[Oracle], x: Tensor, y: Tensor, ids: Sequence[str], attack: Attack, *, eps: float, lanes: int,
    seed: int,
) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
    """For each source model the points at which an attack on it ends (N, C, Y, X), and which of them each model has
    right (k, N). Its own row is its white-box accuracy; the paper gives 100 (1 - accuracy)."""
    for source in oracles:
        points = ends(attack, source, x, y, ids, eps=eps, lanes=lanes, seed=seed)
        yield points, torch.stack([right(target, points, y, lanes=lanes) for target in oracles])
