"""Where an attack ends on each image, fooled or not: what studies of perturbations and of transfer look at.

Other than on lanes, images that are fooled go all the way: the published studies take the points after the last step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vlmkit.core.attack.lanes import Attack, Lane
from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.randomness import keys_of


def ends(
    attack: Attack, oracle: Oracle, x: Tensor, y: Tensor, ids: Sequence[str], *, eps: float, lanes: int, seed: int
) -> Tensor:
    """The last point (N, C, Y, X) that an attack asks about, for images x (N, C, Y, X) in [0, 1] with labels y (N,); it
    aims at the likeliest wrong class."""
    keys = keys_of(ids, seed=seed, what=f"{attack.name} {eps!r}").to(x.device)
    found = []
    for rows in torch.arange(len(x), device=x.device).split(lanes):
        radii = torch.full((len(rows),), eps, device=x.device)
        logits = oracle.logits(x[rows])
        targets = logits.scatter(1, y[rows, None], -torch.inf).argmax(1)
        lane = Lane(x[rows], x[rows], x[rows], y[rows], targets, radii, keys[rows])
        found.append(end(attack, oracle, lane))
    return torch.cat(found)


def end(attack: Attack, oracle: Oracle, lane: Lane) -> Tensor:
    """The last point of each lane (B, C, Y, X)."""
    state = attack.start(lane) | {"eps": lane.eps, "t": lane.t, "y": lane.y}
    last, going = lane.x0.clone(), torch.ones_like(lane.y, dtype=torch.bool)
    while bool(going.any()):
        x = attack.ask(state)
        last[going] = x[going]
        if attack.loss is None:
            logits = oracle.logits(x)
            values, gradient = torch.zeros(len(x), device=x.device), torch.zeros_like(x)
        else:
            logits, values, gradient = oracle.gradient(x, lane.y, lane.t, attack.loss)
        going &= ~attack.tell(state, logits, values, gradient)
    return last
