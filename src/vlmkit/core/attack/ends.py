"""Where an attack goes on each image, fooled or not: what studies of perturbations and of transfer look at.

Other than on lanes, images that are fooled go all the way: the published studies take the points after the last step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vlmkit.core.attack.balls import wide
from vlmkit.core.attack.lanes import Attack, Lane
from vlmkit.core.attack.losses import margin
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.randomness import keys_of


@dataclass(frozen=True)
class Ends:
    """Of images (N, C, Y, X) the last points that an attack asked about, and those at which another class was ahead by
    most."""

    last: Tensor
    worst: Tensor


def ends(
    attack: Attack, oracle: Oracle, x: Tensor, y: Tensor, ids: Sequence[str], *, eps: float, lanes: int, seed: int
) -> Ends:
    """Where an attack goes from images x (N, C, Y, X) in [0, 1] with labels y (N,); it aims at the likeliest wrong
    class."""
    keys = keys_of(ids, seed=seed, what=f"{attack.name} {eps!r}").to(x.device)
    found = []
    for rows in torch.arange(len(x), device=x.device).split(lanes):
        radii = torch.full((len(rows),), eps, device=x.device)
        logits = oracle.logits(x[rows])
        targets = logits.scatter(1, y[rows, None], -torch.inf).argmax(1)
        lane = Lane(x[rows], x[rows], x[rows], y[rows], targets, radii, keys[rows])
        found.append(followed(attack, oracle, lane))
    return Ends(torch.cat([one.last for one in found]), torch.cat([one.worst for one in found]))


def followed(attack: Attack, oracle: Oracle, lane: Lane) -> Ends:
    """An attack to its end on some lanes."""
    state = attack.start(lane) | {"eps": lane.eps, "t": lane.t, "y": lane.y}
    going, most = torch.ones_like(lane.y, dtype=torch.bool), torch.full_like(lane.eps, -torch.inf)
    last, worst = lane.x0.clone(), lane.x0.clone()
    while bool(going.any()):
        x = attack.ask(state)
        if attack.loss is None:
            logits = oracle.logits(x)
            values, gradient = torch.zeros(len(x), device=x.device), torch.zeros_like(x)
        else:
            logits, values, gradient = oracle.gradient(x, lane.y, lane.t, attack.loss)
        margins = margin(logits, lane.y, lane.t)
        worse = going & (margins > most)
        last, worst = torch.where(wide(going), x, last), torch.where(wide(worse), x, worst)
        most = torch.where(worse, margins, most)
        going = going & ~attack.tell(state, logits, values, gradient)
    return Ends(last, worst)
