"""What came of attacks: a row for each image, the curve with its intervals, and what each attack was worth.

Everything is counted from the rows, which hold what is claimed and nothing else, so that it can be checked from the
files alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from statsmodels.stats.proportion import proportion_confint
from torch import Tensor

from vlmkit.core.attack.board import ROUNDING
from vlmkit.core.attack.curve import SHORTENING, Done, Step, Subject
from vlmkit.core.attack.losses import at, best_other

WRONG, FOOLED, ROBUST = "clean_wrong", "fooled", "robust"
LONGER = (0.0, 1e-6, 1e-5, 1e-4, 1e-3)  # by these shares a change is lengthened until it holds as it is stored
Row = dict[str, Any]


def settle(subject: Subject, *, lanes: int) -> Tensor:
    """The changes d (N, C, Y, X) as they are stored: x + d in float32 fools the model; a change that rounding undoes is
    lengthened a little, one that cannot be made to hold is forgotten. Zero where there is none."""
    board = subject.board
    changes = torch.zeros_like(board.x)
    fooled = board.size.isfinite().nonzero()[:, 0]
    for some in fooled.split(lanes) if len(fooled) else ():
        left, d = some, board.fooling[some] - board.x[some]
        for share in LONGER:
            x = board.x[left]
            longer = (x + d * (1 + share)).clamp(0, 1) - x
            logits = board.seen(left, subject.oracle.logits(x + longer))
            holds = best_other(logits, board.y[left]) - at(logits, board.y[left]) > board.slack
            kept = left[holds]
            changes[kept], board.size[kept] = longer[holds], subject.ball.size(longer[holds])
            board.given[kept] = logits[holds].argmax(1) if board.goal is None else board.goal[kept]
            left, d = left[~holds], d[~holds]
            if not len(left):
                break
        board.size[left] = torch.inf
    return changes


def rows_of(
    subject: Subject, steps: Sequence[Step], labels: Tensor, radii: Sequence[float], held: Mapping[float, Tensor]
) -> Iterator[Row]:
    """A row for each image of a board, in its order; `labels` (N,) are the true classes. An image counts as right at
    radii below its smallest change or, of published attacks, where those of the radius left it right (`held`)."""
    board, largest = subject.board, max(radii)
    for row, name in enumerate(subject.ids):
        size = float(board.size[row])
        right = bool(subject.right[row])
        fooled = right and size <= largest + ROUNDING
        by = int(board.by[row])
        yield {
            "id": name, "label": int(labels[row]), "clean_prediction": int(subject.given[row]),
            "status": (FOOLED if fooled else ROBUST) if right else WRONG, "norm": subject.ball.name,
            "radius_low": max((eps for eps in radii if size > eps + ROUNDING), default=0.0) if right else 0.0,
            "radius_high": size if fooled else None if right else 0.0,
            "attack": steps[by].one.name if fooled else None,
            "target": target_of(subject, row, steps[by]) if fooled else None,
            "prediction": int(board.given[row]) if fooled else int(subject.given[row]),
            "robust_at": [eps for eps in sorted(radii) if right and (
                size > eps + ROUNDING or (eps in held and bool(held[eps][row])))],
            "queries": int(board.forwards[row]), "gradients": int(board.backwards[row]),
        }  # fmt: skip


def target_of(subject: Subject, row: int, step: Step) -> int | None:
    """The class that the attack aimed at, if it aimed at one."""
    if subject.board.goal is not None:
        return int(subject.board.goal[row])
    aims = step.one.attack.loss is not None and getattr(step.one.attack.loss, "__name__", "").endswith("_to")
    return int(subject.aims(step.one, torch.tensor([row], device=subject.right.device))[0]) if aims else None


def withstands(row: Mapping[str, Any], eps: float) -> bool:
    """Whether the model has an image right at a radius that was attacked, as far as its attacks tell."""
    return eps in row["robust_at"]


def interval(count: int, of: int) -> tuple[float, float]:
    """Wilson's interval of a share, at 95 percent."""
    low, high = proportion_confint(count, of, alpha=0.05, method="wilson")
    return min(float(low), count / of), max(float(high), count / of)  # rounding may part them by 1e-17


def curve_of(rows: Sequence[Row], radii: Mapping[str, Sequence[float]]) -> list[Row]:
    """Robust accuracy at each radius of each norm, with Wilson's interval at 95 percent."""
    found = []
    for norm, some in radii.items():
        mine = [row for row in rows if row["norm"] == norm]
        for eps in sorted(some):
            count = sum(withstands(row, eps) for row in mine)
            low, high = interval(count, len(mine))
            value = {"robust_accuracy": count / len(mine), "low": low, "high": high, "n": len(mine)}
            found.append({"norm": norm, "eps": eps, **value})
    return found


def per_class(rows: Sequence[Row], radii: Mapping[str, Sequence[float]], names: Sequence[str] | None) -> list[Row]:
    """Clean and robust accuracy of the images of each class."""
    found = []
    first = next(iter(radii))
    for label in sorted({row["label"] for row in rows}):
        mine = [row for row in rows if row["label"] == label]
        clean = [row["status"] != WRONG for row in mine if row["norm"] == first]
        robust = [
            {"norm": one["norm"], "eps": one["eps"], "robust_accuracy": one["robust_accuracy"]}
            for one in curve_of(mine, radii)
        ]
        name = names[label] if names and label < len(names) else str(label)
        found.append({"label": label, "name": name, "n": len(clean), "clean_accuracy": sum(clean) / len(clean)})
        found[-1]["robust"] = robust
    return found


def by_attack(done: Sequence[Done], rows: Sequence[Row], right: int) -> dict[str, Row]:
    """What each attack was worth, over images of which the model has `right`: the accuracy left after it at the largest
    radius, the passes it took, how often it fooled the model, and of how many images its change is the smallest."""
    count, largest = len(rows), max((one.eps for one in done), default=0.0)
    found: dict[str, Row] = {}
    standing = right
    for one in done:
        entry = found.setdefault(
            one.attack, {"robust_accuracy": None, "forwards_per_image": 0.0, "backwards_per_image": 0.0, "fooled": 0}
        )
        if one.eps == largest and one.attack not in ("more-steps", *SHORTENING):
            standing -= one.fooled
            entry["robust_accuracy"] = standing / count
        entry["forwards_per_image"] += one.forwards / count
        entry["backwards_per_image"] += one.backwards / count
        entry["fooled"] += 0 if one.attack in ("nearer", "bisect") else one.fooled
    for name, entry in found.items():
        entry["smallest"] = sum(row["attack"] == name for row in rows)
    return found


def added(parts: Sequence[Sequence[Done]]) -> list[Done]:
    """The steps of several parts of the images as those of all."""
    return [
        Done(
            some[0].attack, some[0].eps, sum(one.tried for one in some), sum(one.fooled for one in some),
            sum(one.forwards for one in some), sum(one.backwards for one in some),
        )
        for some in zip(*parts, strict=True)
    ]  # fmt: skip
