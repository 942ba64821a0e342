"""AdamW over groups of parameters that a list of (pattern, learning rate or "frozen") names, each parameter once.

Weight decay acts on all parameters, gains and embeddings included, as DCLM trains (specs/pretrain.md 1.3); `no_decay`
names the ones to spare.
"""

import re
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from vlmkit.core.errors import InputError, nearest

WHERE = "the list of learning rates"
Rules = Sequence[tuple[str, float | Literal["frozen"]]]


def adamw(
    model: nn.Module,
    rules: Rules,
    *,
    betas: tuple[float, float] = (0.9, 0.95),
    eps: float = 1e-8,
    weight_decay: float = 0.033,
    no_decay: str | None = None,
) -> torch.optim.AdamW:
    """AdamW whose groups follow `rules`; frozen parameters lose `requires_grad`.

    Args:
        rules: (regular expression for the whole name, peak learning rate or "frozen"); every parameter of the model
            must match exactly one.
        no_decay: regular expression for names without weight decay; None decays all, which is DCLM's recipe.
    """
    rates = assign(model, rules)
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        rate = rates[name]
        parameter.requires_grad_(rate != "frozen")
        if rate != "frozen":
            decay = 0.0 if no_decay is not None and re.fullmatch(no_decay, name) else weight_decay
            groups.setdefault((float(rate), decay), []).append(parameter)
    if not groups:
        raise InputError(
            "every parameter is frozen", where="the list of learning rates", fix="train at least one group"
        )
    listed = [{"params": p, "lr": lr, "peak": lr, "weight_decay": decay} for (lr, decay), p in groups.items()]
    fused = all(p.dtype in (torch.float32, torch.float64, torch.bfloat16) for ps in groups.values() for p in ps)
    return torch.optim.AdamW(listed, betas=betas, eps=eps, fused=fused)  # fused: 3x faster than a loop on two CPU cores


def assign(model: nn.Module, rules: Rules) -> dict[str, float | Literal["frozen"]]:
    """The learning rate (or "frozen") of every parameter by name.

    Raises:
        InputError: a parameter matches no rule or several, or a rule matches nothing.
    """
    names = [name for name, _ in model.named_parameters()]
    found: dict[str, float | Literal["frozen"]] = {}
    used = [False] * len(rules)
    for name in names:
        hits = [i for i, (pattern, _) in enumerate(rules) if re.fullmatch(pattern, name)]
        if len(hits) != 1:
            which = " and ".join(f"'{rules[i][0]}'" for i in hits) or "no pattern"
            raise InputError(
                f"parameter {name} matches {which}",
                where=WHERE,
                fix="write the patterns so that every parameter matches exactly one",
            )
        used[hits[0]] = True
        found[name] = rules[hits[0]][1]
    for hit, (pattern, _) in zip(used, rules, strict=True):
        if not hit:
            raise InputError(
                f"pattern '{pattern}' matches no parameter",
                where=WHERE,
                fix=nearest(pattern, names),
            )
    return found
