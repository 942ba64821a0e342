"""Laws compared on the same runs: AICc, exact leave-one-out errors, and how each predicts the next size.

AICc (Hurvich and Tsai 1989) takes the likelihood that belongs to the loss: normal, Laplace, or Huber's density, each
with its scale at the best value, which counts as one more parameter.
"""

import math

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.scaling.batch import minimise
from vlmkit.core.scaling.bootstrap import metric_of
from vlmkit.core.scaling.checks import rollout
from vlmkit.core.scaling.curves import Problem, jets, residual_of
from vlmkit.core.scaling.fitting import Fit

MOST = 1000  # points left out one by one
Row = dict[str, object]


def compare(fits: list[Fit], *, level: float) -> list[Row]:
    """A row a law, the best by leave-one-out first, those without a degree of freedom last.

    Raises:
        InputError: fewer than two laws.
    """
    if len(fits) < 2:
        raise InputError("one law has nothing to be compared with", where="--law", fix="name two or more")
    left = {one.law.name: leave_one_out(one) for one in fits if one.dof > 0}  # without freedom nothing can be left out
    scores = {name: float(np.sqrt(np.mean(errors**2))) for name, errors in left.items()}
    criteria = {one.law.name: aicc(one) for one in fits}
    known = [value for value in criteria.values() if value is not None]
    best = min(scores, key=lambda name: scores[name], default=None)
    rows = []
    for one in sorted(fits, key=lambda fitted: scores.get(fitted.law.name, math.inf)):
        name = one.law.name
        steps = rollout(one, level=level)
        criterion = criteria[name]
        rows.append(
            {
                "law": name,
                "parameters": one.law.num_parameters,
                "n": one.n,
                "objective": one.objective,
                "rms_residual": float(np.sqrt(one.rss / one.n)),
                "aicc": criterion,
                "aicc_difference": None if criterion is None else criterion - min(known),
                "loo_rms": scores.get(name),
                "loo_worse_by": worse(left[best], left[name]) if best is not None and name in left else None,
                "rollout_mean_error": float(np.mean([step.mean_error for step in steps])) if steps else None,
                "rollout_last_error": steps[-1].mean_error if steps else None,
                "bounds": ", ".join(one.certificate.bounds) or None,
            }
        )
    return rows


def worse(best: np.ndarray, other: np.ndarray) -> float | None:
    """By how many standard errors the squared errors (N,) of one law are above those of the best."""
    difference = other**2 - best**2
    spread = difference.std(ddof=1) / math.sqrt(difference.size) if difference.size > 1 else 0.0
    return float(difference.mean() / spread) if spread > 0 else None


def leave_one_out(fitted: Fit) -> np.ndarray:
    """The residual (N,) of each point under the fit to all others, in the space of the fit."""
    rows = np.unique(np.linspace(0, fitted.n - 1, min(fitted.n, MOST)).astype(int))
    weights = np.ones((len(rows), fitted.n))
    weights[np.arange(len(rows)), rows] = 0.0
    found = minimise(fitted.problem, fitted.solution, metric_of(fitted), weights=weights)
    with np.errstate(all="ignore"):
        values = jets(fitted.law, found.solutions, fitted.problem.x, 0)[0]
        every = residual_of(fitted.problem, values)
    return every[np.arange(len(rows)), rows]


def aicc(fitted: Fit) -> float | None:
    """The corrected criterion; None with too few points for it."""
    count = fitted.law.num_parameters + 1
    if fitted.n - count - 1 <= 0 or not fitted.rss > 0:
        return None
    correction = 2 * count * (count + 1) / (fitted.n - count - 1)
    return -2 * log_likelihood(fitted.problem, fitted.residuals) + 2 * count + correction


def log_likelihood(problem: Problem, r: np.ndarray) -> float:
    """The greatest log-likelihood of residuals r (N,) under the density of the loss, over its scale."""
    n = r.size
    if problem.loss == "lsq":
        return -n / 2 * (math.log(2 * math.pi * float(np.mean(r**2))) + 1)
    if problem.loss == "lad":
        return -n * (math.log(2 * float(np.mean(np.abs(r)))) + 1)
    size, delta = np.abs(r), problem.delta
    total = float(np.where(size <= delta, r * r / 2, delta * (size - delta / 2)).sum())
    scales = np.geomspace(1e-4, 1e4, 4001) * math.sqrt(2 * total / n)  # exp(-huber(r) / scale^2), over its integral
    inner = np.array([math.erf(delta / scale / math.sqrt(2)) for scale in scales])
    with np.errstate(under="ignore"):
        tails = 2 * scales**2 / delta * np.exp(-(delta**2) / (2 * scales**2))
    return float((-n * np.log(scales * math.sqrt(2 * math.pi) * inner + tails) - total / scales**2).max())
