"""Values of pieces of images put together, and shares of them with intervals."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vlmkit.core.attack.outcome import interval


def spread(parts: Sequence[tuple[np.ndarray, Tensor]]) -> np.ndarray:
    """Values of pieces (N_piece, …) in the order of all images (N, …)."""
    order = np.concatenate([places for places, _ in parts])
    values = torch.cat([values for _, values in parts]).numpy()
    found = np.empty_like(values)
    found[order] = values
    return found


def share(flags: np.ndarray | Tensor) -> dict[str, float | int]:
    """The share of images that are right, with Wilson's interval at 95 percent."""
    count, of = int(flags.sum()), len(flags)
    low, high = interval(count, of)
    return {"accuracy": count / of, "low": low, "high": high, "n": of}


def mean(values: np.ndarray) -> float | None:
    """The mean of what is known."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
