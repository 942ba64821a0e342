"""A classifier that is asked for logits and gradients, and counts what it is asked.

A row of a batch gives the same bits in every batch whose rows are a multiple of TILE (measured for ViT, ResNet and
small networks on one and two CPU threads; others are cut otherwise), so batches are filled up to that: what is found of
an image then does not depend on which others are attacked beside it. Rows that fill up are counted as well.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from vlmkit.core.attack.losses import Loss
from vlmkit.core.errors import RunError

TILE = 8


class Oracle:
    """A classifier of images (B, C, Y, X) in [0, 1] as logits (B, V); `search` is the number format in which gradients
    are taken, where it is not the model's own; `tile` may be 1 where images are always asked about one at a time."""

    def __init__(self, model: nn.Module, *, search: torch.dtype | None = None, tile: int = TILE) -> None:
        self.model, self.search, self.tile = model.eval(), search, tile
        self.forwards = self.backwards = 0
        for parameter in model.parameters():
            parameter.requires_grad_(False)  # their gradients would be computed and thrown away

    def logits(self, x: Tensor, *, fill: bool = True) -> Tensor:
        """Logits in float32; without `fill` of these rows alone, as others ask."""
        with torch.no_grad():
            return self._forward(filled(x, self.tile) if fill else x)[: len(x)]

    def gradient(
        self, x: Tensor, y: Tensor, t: Tensor, loss: Loss, seen: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, as they are `seen`, the loss of each row, and its gradient, zero where the model has none."""
        whole = filled(x, self.tile).detach().requires_grad_()
        with self._searching(x.device.type):
            logits = self._forward(whole)[: len(x)]
        logits = seen(logits) if seen else logits
        values = loss(logits, y, t)
        if not values.requires_grad:
            return logits.detach(), values.detach(), torch.zeros_like(x)
        (found,) = torch.autograd.grad(values.sum(), whole, allow_unused=True)
        self.backwards += len(whole)
        found = torch.zeros_like(x) if found is None else found[: len(x)].nan_to_num(0.0, 0.0, 0.0)
        return logits.detach(), values.detach(), found

    def slopes(self, x: Tensor, figures: Callable[[Tensor], list[Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
        """Figures (B,) of the logits, and the gradient of each, zero where there is none: one forward pass, and a
        backward one a figure."""
        whole = filled(x, self.tile).detach().requires_grad_()
        with self._searching(x.device.type):
            found = figures(self._forward(whole)[: len(x)])
        gradients = []
        for number, figure in enumerate(found):
            slope = None
            if figure.requires_grad:
                more = number + 1 < len(found)
                (slope,) = torch.autograd.grad(figure.sum(), whole, retain_graph=more, allow_unused=True)
                self.backwards += len(whole)
            gradients.append(torch.zeros_like(x) if slope is None else slope[: len(x)].nan_to_num(0.0, 0.0, 0.0))
        return [figure.detach() for figure in found], gradients

    def _searching(self, device: str) -> AbstractContextManager[object]:
        return torch.autocast(device, dtype=self.search) if self.search else nullcontext()

    def _forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        logits = self.model(x).float()
        if logits.isnan().any():
            raise RunError("the model gives NaN", where="its logits", fix="check the model; nothing can be told of it")
        return logits


def filled(x: Tensor, tile: int) -> Tensor:
    """A multiple of `tile` rows: the last one again as often as is wanted."""
    missing = -len(x) % tile
    return torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) if missing else x
