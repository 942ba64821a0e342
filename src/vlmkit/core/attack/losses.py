"""Losses that attacks raise, from logits (B, V), labels y (B,) and target classes t (B,), each float (B,)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
TINY = 1e-12


def at(logits: Tensor, classes: Tensor) -> Tensor:
    """The logit of a class of each row."""
    return logits.gather(1, classes[:, None])[:, 0]


def best_other(logits: Tensor, y: Tensor) -> Tensor:
    """The largest logit of a class that is not y."""
    return logits.scatter(1, y[:, None], -torch.inf).amax(1)


def ce(logits: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """Cross-entropy."""
    del t
    return cross_entropy(logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """max_{c != y} z_c - z_y (Carlini and Wagner 2017): positive when the class is another."""
    del t
    return best_other(logits, y) - at(logits, y)


def margin_to(logits: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """z_t - z_y."""
    return at(logits, t) - at(logits, y)


def dlr(logits: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """Difference of logits ratio, -(z_y - max_{c != y} z_c) / (z_pi1 - z_pi3) (Croce and Hein 2020, eq. 4); below 3
    classes, which have no third logit, the margin."""
    if logits.shape[1] < 3:
        return margin(logits, y, t)
    ordered = logits.sort(1).values
    return margin(logits, y, t) / (ordered[:, -1] - ordered[:, -3] + TINY)


def dlr_to(logits: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """Targeted: -(z_y - z_t) / (z_pi1 - (z_pi3 + z_pi4) / 2) (eq. 5); below 4 classes the margin to the target."""
    if logits.shape[1] < 4:
        return margin_to(logits, y, t)
    ordered = logits.sort(1).values
    return margin_to(logits, y, t) / (ordered[:, -1] - (ordered[:, -3] + ordered[:, -4]) / 2 + TINY)


def pma(logits: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """Probability margin max_{c != y} p_c - p_y (Ma et al. 2024)."""
    return margin(softmax(logits, 1), y, t)


LOSSES: dict[str, Loss] = {
    "ce": ce, "margin": margin, "margin_to": margin_to, "dlr": dlr, "dlr_to": dlr_to, "pma": pma,
}  # fmt: skip
