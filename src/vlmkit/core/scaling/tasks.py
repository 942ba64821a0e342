"""Which tasks can be predicted: those on which some small model is clearly better than chance (Gadre et al. 2024).

Errors of single tasks are noisy, and at chance they say nothing of the loss; the mean over the tasks that this rule
picks follows a law.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Task:
    """A task: its chance accuracy, the best accuracy of the models that were asked, whose it is, and the verdict."""

    name: str
    chance: float
    accuracy: float
    model: str
    chosen: bool


def choose(
    errors: Mapping[str, np.ndarray], chance: Mapping[str, float], names: np.ndarray, *, margin: float
) -> list[Task]:
    """The verdict on every task, by errors (N,) of the models `names` (N,): chosen where the best one's accuracy is
    above chance by more than `margin`. A model that was not scored on a task does not count."""
    found = []
    for task, values in errors.items():
        if not np.isfinite(values).any():
            continue
        at = int(np.nanargmin(values))
        accuracy = 1 - float(values[at])
        found.append(Task(task, chance[task], accuracy, str(names[at]), accuracy > chance[task] + margin))
    return found
