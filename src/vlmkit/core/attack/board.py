"""What is known of each image: the smallest change found that fools the model, and the point nearest to fooling it.

Every point that any attack asks about is told here, so attacks are worth together what the best of them is on each
image, at every radius at once. With goals an image counts as fooling the model when the model gives its goal: attacks
then see two classes, all others together (0) and the goal (1), and need not know that they are targeted.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from vlmkit.core.attack.balls import Ball
from vlmkit.core.attack.losses import at, best_other

ROUNDING = 6e-8  # of float32, on a radius


@dataclass
class Board:
    """Images x (N, C, Y, X) of one shape and labels y (N,), or goals (N,), with which all y are 0; by how much another
    logit has to win (`slack`), so that a fresh forward agrees.

    For each image: the size of the smallest change that fools the model (inf: none) with the changed image; the margin
    max_{c != y} z_c - z_y of the point nearest to fooling it within the radius that is attacked, with that point; the
    class that the fooled model gives; the number of the attack that found it (-1: none); how often the model was asked
    for logits and gradients.
    """

    x: Tensor
    y: Tensor
    size: Tensor
    fooling: Tensor
    closest: Tensor
    nearest: Tensor
    given: Tensor
    by: Tensor
    forwards: Tensor
    backwards: Tensor
    goal: Tensor | None = None
    slack: float = 0.0

    @classmethod
    def of(cls, x: Tensor, y: Tensor, *, goal: Tensor | None = None, slack: float = 0.0) -> "Board":
        """Nothing is known."""
        whole = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        y, count = y if goal is None else whole.clone(), len(x)
        return cls(
            x, y, torch.full((count,), torch.inf, device=x.device), x.clone(),
            torch.full((count,), -torch.inf, device=x.device), x.clone(), y.clone(), whole - 1, whole.clone(),
            whole.clone(), goal, slack,
        )  # fmt: skip

    def seen(self, rows: Tensor, logits: Tensor) -> Tensor:
        """Logits (B, V) of images `rows` (B,) as attacks see them: (B, 2) with goals."""
        if self.goal is None:
            return logits
        goal = self.goal[rows]
        return torch.stack([best_other(logits, goal), at(logits, goal)], dim=1)

    def tell(
        self, rows: Tensor, x: Tensor, logits: Tensor, ball: Ball, *, eps: Tensor, by: int, counts: Tensor | None = None
    ) -> Tensor:
        """Take in the logits (B, V), as they are seen, of points x of images `rows` (B,), or of those that count (B,);
        which of them fool the model within eps (B,). Below 0 `by` leaves the credit where it is."""
        if counts is not None:
            found = torch.zeros_like(rows, dtype=torch.bool)
            found[counts] = self.tell(rows[counts], x[counts], logits[counts], ball, eps=eps[counts], by=by)
            return found
        y = self.y[rows]
        margins = best_other(logits, y) - at(logits, y)
        sizes = ball.size(x - self.x[rows])
        within = sizes <= eps + ROUNDING
        fools = margins > self.slack
        self._keep(rows, fools & (sizes < self.size[rows]), x, sizes, logits, by)
        nearer = within & (margins > self.closest[rows])
        self.closest[rows[nearer]], self.nearest[rows[nearer]] = margins[nearer], x[nearer]
        return fools & within

    def _keep(self, rows: Tensor, better: Tensor, x: Tensor, sizes: Tensor, logits: Tensor, by: int) -> None:
        chosen = rows[better]
        self.size[chosen], self.fooling[chosen] = sizes[better], x[better]
        if by >= 0:
            self.by[chosen] = by
        self.given[chosen] = logits[better].argmax(1) if self.goal is None else self.goal[chosen]

    def narrow(self) -> None:
        """Another radius begins: what was nearest to fooling the model may lie outside of it."""
        self.closest, self.nearest = torch.full_like(self.closest, -torch.inf), self.x.clone()

    def state(self) -> dict[str, Tensor]:
        """What is known, to be written: all but the images, what is asked of them, and the slack."""
        given = ("x", "y", "goal", "slack")
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in given}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for name, value in state.items():
            setattr(self, name, value.to(self.x.device))
