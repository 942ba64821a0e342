"""Patch-Fool (Fu et al. 2022): one patch of a vision transformer, or a few, changed without any bound.

It measures something else than attacks within a ball: how much of the image a model leaves to k of its tokens. The
change is seen by anyone, so the share of images that it fools says nothing of small changes.

The patches are those that the tokens attend to most; then Adam raises cross-entropy together with the attention that
the patch draws, where gradients of attention that point against that of cross-entropy lose the part that does (as in
PCGrad, Yu et al. 2020). Numbers are those of the released code: patches by the fifth layer, attention of layers 2 to
L / 2 as the mean over tokens of its logarithm, weight 0.002, 250 steps of 0.22 in normalised pixels, which is 0.05 of
pixels in [0, 1], 5 % less after each 10. Three things are otherwise. The projection divides by the squared length,
where the released code divides by the length. Of several patches the attention to all counts, not to the first alone.
An image is fooled as soon as any point fools the model, not only the last. The paper's text could not be compared line
by line.

A patch of the image as the model sees it stands for the user's pixels that reach it more than any other patch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from vlmkit.core.attack.balls import boxed, wide
from vlmkit.core.attack.features import grid
from vlmkit.core.attack.losses import margin
from vlmkit.core.attack.oracle import TILE, Oracle, filled
from vlmkit.core.attack.randomness import uniform
from vlmkit.core.errors import InputError
from vlmkit.core.models.attention import recorded
from vlmkit.core.models.classifier import Classifier

SELECT, WEIGHT = 4, 0.002
STEP, DECAY, EVERY = 0.05, 0.95, 10
BETA1, BETA2, TINY = 0.9, 0.999, 1e-8  # of Adam
SURE = 1e-5  # of the largest logit: by so much another class has to win, whatever computes the attention
MANY = 32  # patches whose pixels are looked up at a time


@dataclass
class Fooled:
    """What became of images: the patches (N, k) that were changed, numbered row by row, which images are fooled (N,),
    the points at which they left (N, C, Y, X), and after how many steps (N,)."""

    patches: Tensor
    fooled: Tensor
    points: Tensor
    steps: Tensor


def patch_fool(
    model: Classifier, x: Tensor, y: Tensor, keys: Tensor, *, num_patches: int = 1, num_steps: int = 250,
    lanes: int = 64,
) -> Fooled:  # fmt: skip
    """Attack images x (N, C, Y, X) in [0, 1] with labels y (N,) and keys of random numbers (N,).

    Raises:
        InputError: the model's tokens do not all attend to all patches of the image.
    """
    parts = [
        some_fooled(model, *some, num_patches=num_patches, num_steps=num_steps)
        for some in zip(x.split(lanes), y.split(lanes), keys.split(lanes), strict=True)
    ]
    found = Fooled(*(torch.cat([getattr(one, name) for one in parts]) for name in Fooled.__dataclass_fields__))
    found.fooled = judged(model, found.points, y, lanes=lanes)
    return found


def some_fooled(model: Classifier, x: Tensor, y: Tensor, keys: Tensor, *, num_patches: int, num_steps: int) -> Fooled:
    """A batch; images that are fooled leave it."""
    patches, rows, columns = most_attended(model, x, num_patches)
    place = owners(model, x.shape[1:], rows, columns)
    mask = (place == patches[:, :, None, None]).any(1)[:, None]
    points = torch.where(mask, uniform(keys, torch.zeros_like(keys), x.shape[1:]), x)
    first, second = torch.zeros_like(x), torch.zeros_like(x)
    steps = torch.full_like(y, num_steps)
    going = torch.arange(len(x), device=x.device)
    for step in range(num_steps + 1):
        logits, gradient = ascent(model, points[going], y[going], patches[going], rows * columns)
        found = fools(logits, y[going])
        steps[going[found]] = step
        going, gradient = going[~found], gradient[~found]
        if step == num_steps or not len(going):
            break
        gradient = gradient * mask[going]
        first[going] = BETA1 * first[going] + (1 - BETA1) * gradient
        second[going] = BETA2 * second[going] + (1 - BETA2) * gradient**2
        mean, spread = first[going] / (1 - BETA1 ** (step + 1)), second[going] / (1 - BETA2 ** (step + 1))
        moved = boxed(points[going] + STEP * DECAY ** (step // EVERY) * mean / (spread.sqrt() + TINY))
        points[going] = torch.where(mask[going], moved, points[going])
    return Fooled(patches, torch.zeros_like(y, dtype=torch.bool), points, steps)


def fools(logits: Tensor, y: Tensor) -> Tensor:
    """Which rows (B,) another class wins, by more than rounding."""
    return margin(logits, y, y) > SURE * logits.abs().amax(1)


def judged(model: Classifier, points: Tensor, y: Tensor, *, lanes: int) -> Tensor:
    """Which points (N,) fool the model with its own attention, not the one that tells its weights."""
    oracle = Oracle(model)
    return torch.cat([fools(oracle.logits(x), t) for x, t in zip(points.split(lanes), y.split(lanes), strict=True)])


def ascent(model: Classifier, x: Tensor, y: Tensor, patches: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Logits (B, V), and the gradient (B, C, Y, X) of cross-entropy with what the attention adds to it."""
    whole = filled(x, TILE).detach().requires_grad_()
    logits, weights = attention(model, whole, count)
    raised = cross_entropy(logits[: len(x)], y, reduction="sum")
    (gradient,) = torch.autograd.grad(raised, whole, retain_graph=True)
    total = gradient.clone()
    for layer in weights[1 : max(2, len(weights) // 2)]:
        tokens = layer.shape[1]
        at = (patches + tokens - count)[:, None].expand(-1, tokens, -1)
        drawn = layer[: len(x)].gather(2, at).sum(2).clamp_min(TINY).log().mean(1)
        (pull,) = torch.autograd.grad(drawn.sum(), whole, retain_graph=True)
        total += WEIGHT * without_conflict(pull, gradient)
    return logits[: len(x)].detach(), total[: len(x)]


def without_conflict(pull: Tensor, gradient: Tensor) -> Tensor:
    """A gradient (B, …) without the part that points against another one."""
    dot = (pull * gradient).flatten(1).sum(1)
    share = dot.clamp_max(0) / (gradient**2).flatten(1).sum(1).clamp_min(torch.finfo(gradient.dtype).tiny)
    return pull - wide(share) * gradient


def attention(model: Classifier, x: Tensor, count: int | None = None) -> tuple[Tensor, Sequence[Tensor]]:
    """Logits (B, V), and for each layer the attention (B, S, S) of tokens to tokens, the mean over heads."""
    inner: object = model.compute
    inner = inner if isinstance(inner, PreTrainedModel) else getattr(inner, "model", None)
    fix = "give a transformers model of one sequence of patches, such as ViT, DeiT or CLIP"
    if not isinstance(inner, PreTrainedModel):
        raise InputError("this model does not show its attention", where=model.where, fix=fix)
    with recorded(inner) as found:
        logits = model(x)
    weights = [calls[0] for calls in found.values()]
    shapes = {(*one.shape[:1], *one.shape[2:]) for one in weights}
    if len(shapes) != 1 or next(iter(shapes))[0] != len(x) or (count or 0) > weights[0].shape[-1]:
        raise InputError("this model's tokens do not all attend to all patches", where=model.where, fix=fix)
    return logits, [one.float().mean(1) for one in weights]


def most_attended(model: Classifier, x: Tensor, num_patches: int) -> tuple[Tensor, int, int]:
    """The patches (B, k) that the tokens attend to most on the mean, and how many rows and columns there are."""
    with torch.no_grad():
        _, weights = attention(model, filled(x, TILE))
        height, width = model.view(x[:1]).shape[2:]
    layer = weights[min(SELECT, len(weights) - 1)][: len(x)]
    rows, columns = grid(layer.shape[-1], height, width)
    if not 0 < num_patches < rows * columns:
        raise InputError(f"{num_patches} of {rows * columns} patches", where="--patches", fix="fewer, or 1")
    drawn = layer.mean(1)[:, layer.shape[-1] - rows * columns :]
    return drawn.topk(num_patches, dim=1).indices, rows, columns


def owners(model: Classifier, shape: Sequence[int], rows: int, columns: int) -> Tensor:
    """The patch that each pixel (Y, X) of images (C, Y, X) reaches most; -1 where it reaches none."""
    channels, height, width = shape
    place = next((one.device for one in model.parameters()), torch.device("cpu"))
    best = torch.zeros(height, width, device=place)
    found = torch.full((height, width), -1, device=place)
    for patches in torch.arange(rows * columns, device=place).split(MANY):
        pixels = torch.full((len(patches), channels, height, width), 0.5, device=place, requires_grad=True)
        seen = model.view(pixels)
        down, across = (torch.arange(size, device=place) for size in seen.shape[2:])
        cells = (down * rows // len(down))[:, None] * columns + across * columns // len(across)
        inside = (cells == patches[:, None, None])[:, None]
        (reach,) = torch.autograd.grad((seen * inside).sum(), pixels)
        most, which = reach.sum(1).max(0)
        better = most > best
        best, found = torch.where(better, most, best), torch.where(better, patches[which], found)
    return found
