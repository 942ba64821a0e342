"""Checks of a law on its own runs: small sizes predict the next, and the others predict each size that is left out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.scaling import wald
from vlmkit.core.scaling.batch import smoothed
from vlmkit.core.scaling.fitting import Fit, fit

SAME = 0.05  # sizes whose logarithms differ by less are one size
MOST_SIZES = 8


@dataclass(frozen=True)
class Check:
    """What a law fitted to some of the runs says of the others: their size, how many there are, how many were fitted,
    the mean and the largest relative error, and how many lie inside their intervals."""

    size: float
    n: int
    n_fit: int
    dof: int
    mean_error: float
    worst_error: float
    bias: float
    inside: int


def rollout(fitted: Fit, *, level: float) -> list[Check]:
    """Fit the sizes below and predict the next, from the first that can be predicted to the largest."""
    groups = sizes(fitted)
    tests = ((groups < number, groups == number) for number in range(1, groups.max() + 1))
    return list(checked(fitted, tests, level))


def leave_one_size_out(fitted: Fit, *, level: float) -> list[Check]:
    """Fit all sizes but one and predict that one."""
    groups = sizes(fitted)
    if groups.max() == 0:
        return []
    return list(checked(fitted, ((groups != number, groups == number) for number in range(groups.max() + 1)), level))


def sizes(fitted: Fit) -> np.ndarray:
    """The number of each point's size (N,): its first variable, in groups."""
    x = fitted.problem.x[0]
    every = np.sort(x)
    starts = every[np.flatnonzero(np.diff(every, prepend=-np.inf) > SAME)]
    if len(starts) > MOST_SIZES:  # hardly two runs alike: cut the range evenly
        starts = np.linspace(every[0], every[-1], MOST_SIZES, endpoint=False)
    groups = np.searchsorted(starts, x, side="right") - 1
    return np.unique(groups, return_inverse=True)[1]


def checked(fitted: Fit, tests: Iterator[tuple[np.ndarray, np.ndarray]], level: float) -> Iterator[Check]:
    """The outcome of each test that can be made."""
    problem = smoothed(fitted.problem, fitted.solution)  # for least absolute residuals, which take longer
    x = problem.x + fitted.centre[:, None]
    for known, asked in tests:
        if not determined(fitted, known):
            continue
        try:
            law = fit(
                problem.law, x[:, known], problem.y[known], loss=problem.loss, delta=problem.delta, space=problem.space
            )
        except InputError:
            continue
        found, true = wald.predict(law, x[:, asked], level=level), problem.y[asked]
        errors = found.value / true - 1
        if not np.isfinite(errors).all():
            continue
        if not np.isfinite(found.low).all():  # those runs leave a parameter open: two sizes say nothing of an exponent
            continue
        yield Check(
            size=float(np.exp(np.mean(x[0, asked])) if problem.law.over != ("L",) else np.mean(x[0, asked])),
            n=int(asked.sum()),
            n_fit=law.n,
            dof=law.dof,
            mean_error=float(np.abs(errors).mean()),
            worst_error=float(np.abs(errors).max()),
            bias=float(errors.mean()),
            inside=int(((found.low <= true) & (true <= found.high)).sum()),
        )


def determined(fitted: Fit, known: np.ndarray) -> bool:
    """Whether these points can be fitted: more than parameters, and spread in each variable and between them."""
    x = fitted.problem.x[:, known]
    if x.shape[1] <= fitted.law.num_parameters:
        return False
    spread = x - x.mean(1, keepdims=True)
    return bool(np.linalg.svd(spread, compute_uv=False)[-1] > SAME)
