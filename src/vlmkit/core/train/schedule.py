"""Learning rates over a run: functions of the step (from 0) and of a group's peak.

Warm-up begins at peak / w, not at 0, and the cosine ends at `end`, as in OpenLM (DCLM, specs/pretrain.md 1.3):
step < w: peak (step + 1) / w;  then  end + (peak - end) (1 + cos(pi (step - w) / (T - w))) / 2.
"""

import math
from collections.abc import Callable

Schedule = Callable[[int, float], float]  # (step, peak) -> learning rate


def cosine(num_steps: int, *, warmup: int = 0, end: float = 0.0) -> Schedule:
    """Linear warm-up over `warmup` steps, then half a cosine from the peak towards `end` at step `num_steps`."""

    def rate(step: int, peak: float) -> float:
        if step < warmup:
            return peak * (step + 1) / warmup
        low = min(end, peak)
        return low + 0.5 * (1 + math.cos(math.pi * (step - warmup) / (num_steps - warmup))) * (peak - low)

    return rate


def constant(*, warmup: int = 0) -> Schedule:
    """Linear warm-up over `warmup` steps, then the peak."""
    return lambda step, peak: peak * (step + 1) / warmup if step < warmup else peak


def cooldown(num_steps: int, *, warmup: int = 0, end: float = 0.0, cooldown_steps: int) -> Schedule:
    """The peak after a linear warm-up, then a straight line to `end` over the last `cooldown_steps` steps."""

    def rate(step: int, peak: float) -> float:
        if step < warmup:
            return peak * (step + 1) / warmup
        low, left = min(end, peak), num_steps - step
        return peak if left >= cooldown_steps else low + (peak - low) * left / cooldown_steps

    return rate
