"""What a model makes of an image on the way: feature maps, how low their frequencies are, how far an attack moves them.

Shao et al. 2021 look at early features and at robustness side by side: features of high frequencies go with models that
are easier to fool. Here that is a number for each model, the share of low frequencies in the energy of an early layer,
and over several models a correlation with robust accuracy. The share, the layer (the first block or stage) and the cut
(half of the highest frequency of the map on each axis, without the mean) are ours, for the paper shows pictures alone.
A map of few pixels shows few frequencies, so the share that white noise would have stands beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor
from transformers import PreTrainedModel

from vlmkit.core.attack.bands import dct
from vlmkit.core.attack.oracle import TILE, filled
from vlmkit.core.errors import InputError
from vlmkit.core.models.classifier import Classifier

BANDS = 3
EARLY = 1  # of the hidden states: 0 is what the first block is given
TINY = 1e-12
GAP, BLUE = 4, (11, 92, 173)  # between maps


def hidden(model: Classifier, x: Tensor) -> list[Tensor]:
    """The hidden states of a transformers model for images x (B, C, Y, X) in [0, 1], as it gives them.

    Raises:
        InputError: the model has none to show.
    """
    tower: object = model.compute
    if not isinstance(tower, PreTrainedModel):
        tower = getattr(getattr(tower, "model", None), "vision_model", None)
    if not isinstance(tower, PreTrainedModel):
        raise InputError(
            "this model does not show its features",
            where=model.where,
            fix="give a transformers folder, or leave it out",
        )
    with torch.no_grad():
        found = tower(model.view(filled(x, TILE)), output_hidden_states=True)
    states = getattr(found, "reshaped_hidden_states", None) or found.hidden_states
    if not states:
        raise InputError("this model gives no hidden states", where=model.where, fix="give another model")
    return [state[: len(x)].float() for state in states]


def maps(state: Tensor, height: int, width: int) -> Tensor:
    """A hidden state (B, C, y, x), or of tokens (B, S, E) of an image that is seen at (height, width), as maps
    (B, E, y, x). Tokens before those of the image (of classes, registers) are left out."""
    if state.ndim == 4:
        return state
    rows, columns = grid(state.shape[1], height, width)
    tokens = state[:, state.shape[1] - rows * columns :]
    return tokens.transpose(1, 2).reshape(len(state), -1, rows, columns)


def grid(tokens: int, height: int, width: int) -> tuple[int, int]:
    """The largest grid of an image's proportions with at most so many places."""
    found = (1, 1)
    for rows in range(1, tokens + 1):
        columns = max(1, round(rows * width / height))
        if rows * columns > tokens:
            return found
        found = (rows, columns)
    return found


def low_share(features: Tensor) -> tuple[Tensor, float]:
    """The share of frequencies below half of the highest on both axes in the energy of maps (B, C, y, x), their means
    left out: float64 (B,), and the share that white noise would have; NaN where there is no energy, or no such
    frequency (maps of 2 by 2 pixels, or fewer)."""
    rows, columns = features.shape[2:]
    energy = (dct(features) ** 2).sum(1)
    energy[:, 0, 0] = 0
    low = energy[:, : -(-rows // 2), : -(-columns // 2)].sum((1, 2))
    count = -(-rows // 2) * -(-columns // 2) - 1
    if not count:
        return torch.full_like(low, torch.nan), float("nan")
    return low / energy.sum((1, 2)), count / (rows * columns - 1)


def band_shares(features: Tensor) -> Tensor:
    """The shares of BANDS equal bands of frequency, the lowest first, in the energy of maps (B, C, y, x), their means
    left out: float64 (B, BANDS). A frequency belongs by the larger of its two axes; NaN where there is no energy."""
    rows, columns = features.shape[2:]
    energy = (dct(features) ** 2).sum(1)
    energy[:, 0, 0] = 0
    heights = torch.arange(rows, device=energy.device) / rows
    widths = torch.arange(columns, device=energy.device) / columns
    band = (BANDS * torch.maximum(heights[:, None], widths[None])).long().clamp_max(BANDS - 1)
    found = torch.zeros(len(energy), BANDS, dtype=energy.dtype, device=energy.device)
    found.index_add_(1, band.flatten(), energy.flatten(1))
    return found / energy.sum((1, 2))[:, None]


@dataclass(frozen=True)
class Layer:
    """A layer over N images.

    Attributes:
        low_share: the share of low frequencies of each image (N,), and `white`, that of white noise.
        bands: the shares of bands of frequency (N, BANDS).
        drift: how far an attack moves it, |h' - h| / |h| in L2 (N,).
        rows, columns: the size of its maps.
    """

    low_share: Tensor
    white: float
    bands: Tensor
    drift: Tensor
    rows: int
    columns: int


def layers(model: Classifier, x: Tensor, points: Tensor, *, lanes: int) -> list[Layer]:
    """The layers of a model for images x and for what an attack made of them, both (N, C, Y, X)."""
    parts = []
    for clean, moved in zip(x.split(lanes), points.split(lanes), strict=True):
        before, after = hidden(model, clean), hidden(model, moved)
        height, width = model.view(clean[:1]).shape[2:]
        parts.append([layer(one, other, height, width) for one, other in zip(before, after, strict=True)])
    return [joined([some[place] for some in parts]) for place in range(len(parts[0]))]


def layer(before: Tensor, after: Tensor, height: int, width: int) -> Layer:
    """A layer over a batch."""
    features = maps(before, height, width)
    share, white = low_share(features)
    drift = (after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1).clamp_min(TINY)
    return Layer(share, white, band_shares(features), drift, *features.shape[2:])


def joined(some: Sequence[Layer]) -> Layer:
    """Batches of a layer in one."""
    first = some[0]
    shares, bands, drifts = (torch.cat([getattr(one, key) for one in some]) for key in ("low_share", "bands", "drift"))
    return Layer(shares, first.white, bands, drifts, first.rows, first.columns)


def mosaic(features: Tensor, *, most: int = 36, side: int = 48) -> np.ndarray:
    """The first channels of maps (C, y, x) beside one another, uint8 (Y, X, 3): each from black, its least value, to
    white, its largest, with at least `side` pixels a map, and blue lines between."""
    channels = features[:most].cpu().double()
    low, high = channels.amin((1, 2), keepdim=True), channels.amax((1, 2), keepdim=True)
    scaled = (channels - low) / (high - low).clamp_min(TINY) * 255
    zoom = max(1, -(-side // max(channels.shape[1:])))
    tiles = scaled.round().to(torch.uint8).numpy().repeat(zoom, 1).repeat(zoom, 2)
    across = int(np.ceil(len(tiles) ** 0.5))
    down = -(-len(tiles) // across)
    height, width = tiles.shape[1] + GAP, tiles.shape[2] + GAP
    page = np.full((down * height + GAP, across * width + GAP, 3), BLUE, dtype=np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, across)
        page[row * height + GAP : (row + 1) * height, column * width + GAP : (column + 1) * width] = tile[..., None]
    return page


def correlations(low: Sequence[float | None], robust: Sequence[float]) -> dict[str, float | int | None]:
    """Pearson's and Spearman's correlation of two figures over n models, with p-values; null below three models, or
    where one of the two never changes or is not known."""
    count, x, y = len(low), np.array(low, dtype=float), np.array(robust, dtype=float)
    found: dict[str, float | int | None] = {"n": count, "pearson": None, "pearson_p": None}
    found |= {"spearman": None, "spearman_p": None}
    if count < 3 or not (np.isfinite(x).all() and np.isfinite(y).all()) or 0 in (np.ptp(x), np.ptp(y)):
        return found
    linear, ranked = pearsonr(x, y), spearmanr(x, y)
    found |= {"pearson": float(linear.statistic), "pearson_p": float(linear.pvalue)}
    return found | {"spearman": float(ranked.statistic), "spearman_p": float(ranked.pvalue)}
