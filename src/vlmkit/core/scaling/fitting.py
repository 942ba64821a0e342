"""A fitted law: its solution with what is known about its error, and what it predicts.

Intervals are Wald's with Student's t. With least squares the covariance is s^2 (J'J)^-1. Huber's loss and least
absolute residuals take the sandwich H^-1 S H^-1 of M-estimators, S = sum psi^2 J J' and H = sum E[psi'] J J', where the
expectation smooths each residual by a kernel (Powell 1991), because few residuals lie where psi' is not zero. Factors
such as A and a get their interval in the logarithm.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.scaling.laws import CHINCHILLA, DOWNSTREAM, LAWS, Law, named
from vlmkit.core.scaling.solver import Certificate, Loss, Problem, Space, curve, objective_of, residuals, solve

FEW = 30  # fewer residuals are taken to be spread alike: the sandwich needs more
LOGARITHMIC = {"a", "b", "A", "B", "M_star", "k"}  # positive factors that may be off by orders of magnitude


@dataclass(frozen=True)
class Fit:
    """A law with its best solution. `centre` (T,) was subtracted from the variables; `factor` (P, P) times its
    transpose is the covariance of the solution, None without degrees of freedom; `noise` is the variance of one
    observation in the space of the fit."""

    law: Law
    loss: Loss
    delta: float
    space: Space
    centre: np.ndarray
    solution: np.ndarray
    factor: np.ndarray | None
    noise: float | None
    objective: float
    rss: float
    n: int
    certificate: Certificate

    @property
    def dof(self) -> int:
        """Points less parameters."""
        return self.n - self.law.num_parameters

    @property
    def values(self) -> dict[str, float]:
        """The law's parameters and what derives from them."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return {name: float(value) for name, value in named(self.law, self.solution, self.centre).items()}


@dataclass(frozen=True)
class Prediction:
    """Predicted values (N,) with the ends of their prediction intervals, and the variance in the space of the fit."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    variance: np.ndarray


def fit(law: Law, x: np.ndarray, y: np.ndarray, *, loss: Loss, delta: float, space: Space) -> Fit:
    """Fit a law to values y (N,) at variables x (T, N).

    Raises:
        InputError: fewer points than parameters.
    """
    if y.size < law.num_parameters:
        raise InputError(
            f"{y.size} points cannot determine the {law.num_parameters} parameters of '{law.name}'",
            where="the points that are left to fit",
            fix="fit more runs: widen --where or --fit-where, or take a law with fewer parameters",
        )
    order = np.lexsort((y, *x))  # sums do not depend on the order of the rows
    x, y = x[:, order], y[order]
    centre = x.mean(1)
    problem = Problem(law, x - centre[:, None], y, loss, delta, space)
    solution, certificate = solve(problem)
    factor, noise = spread(problem, solution)
    r = residuals(problem, solution)
    return Fit(
        law=law,
        loss=loss,
        delta=delta,
        space=space,
        centre=centre,
        solution=solution,
        factor=factor,
        noise=noise,
        objective=objective_of(problem, solution),
        rss=float(r @ r),
        n=y.size,
        certificate=certificate,
    )


def spread(problem: Problem, solution: np.ndarray) -> tuple[np.ndarray | None, float | None]:
    """A factor F (P, P) of the covariance F F' of the solution, and the variance of one observation; None without
    degrees of freedom. The factor keeps the digits that the covariance of hardly determined parameters would lose."""
    value, slope, _ = curve(problem, solution)
    r = residuals(problem, solution, value)
    dof = r.size - len(solution)
    if dof <= 0:
        return None, None
    rows = (slope / value if problem.space == "log" else slope).T
    scale = np.sqrt((rows**2).sum(0))
    force, stiffness = influence(problem, r)
    triangle = np.linalg.qr(np.sqrt(stiffness)[:, None] * rows / scale, mode="r")
    noise = float(r @ r / dof)
    if np.abs(np.diagonal(triangle)).min() < 1e-12 * np.sqrt(stiffness.max()):
        return None, noise
    inverse = np.linalg.inv(triangle)
    pushed = np.asarray(np.linalg.qr(rows / scale * force[:, None], mode="r"))  # its square: the sum of psi^2 J J'
    return (inverse @ (inverse.T @ pushed.T)) / scale[:, None] * np.sqrt(r.size / dof), noise


def influence(problem: Problem, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The size of psi (N,) and the expected psi' (N,) at residuals r; equal for all where they are taken as alike."""
    if problem.loss == "lsq":
        return np.full_like(r, np.sqrt(np.mean(r**2))), np.ones_like(r)
    low, high = np.percentile(r, [25, 75])
    width = 2.12 * min(float(np.std(r)), float(high - low) / 1.349) * r.size**-0.2  # twice the rule of thumb
    width = max(width, 1e-12 * (1.0 if problem.space == "log" else float(problem.y.max())))
    if problem.loss == "lad":
        force, stiffness = np.ones_like(r), np.sqrt(2 / np.pi) / width * np.exp(-((r / width) ** 2) / 2)
    else:
        force = np.minimum(np.abs(r), problem.delta)
        reach = [
            [math.erf((end - one) / width / math.sqrt(2)) / 2 for end in (-problem.delta, problem.delta)] for one in r
        ]
        stiffness = np.diff(np.array(reach), axis=1)[:, 0]
    if r.size < FEW:
        return np.full_like(r, np.sqrt(np.mean(force**2))), np.full_like(r, stiffness.mean())
    return force, np.maximum(stiffness, 1e-12 * stiffness.max())


@np.errstate(all="ignore")  # far outside the data a law may overflow: then there is no number to report
def predict(fitted: Fit, x: np.ndarray, *, level: float) -> Prediction:
    """What the law says at variables x (T, N), with an interval for one new observation each."""
    problem = Problem(fitted.law, x - fitted.centre[:, None], np.ones(x.shape[1]), space="raw")
    value, slope, _ = curve(problem, fitted.solution)
    nothing = np.full_like(value, np.nan)
    if fitted.factor is None or fitted.noise is None:
        return Prediction(value, nothing, nothing, nothing)
    rows = slope / value if fitted.space == "log" else slope
    variance = fitted.noise + ((rows.T @ fitted.factor) ** 2).sum(1)
    half = quantile(level, fitted.dof) * np.sqrt(variance)
    if fitted.space == "log":
        return Prediction(value, value * np.exp(-half), value * np.exp(half), variance * value**2)
    return Prediction(value, value - half, value + half, variance)


@np.errstate(all="ignore")
def chain(loss: Fit, downstream: Fit, x: np.ndarray, *, level: float) -> Prediction:
    """Downstream errors at x (T, N), through predicted losses, with the uncertainty of both fits."""
    first = predict(loss, x, level=level)
    second = predict(downstream, first.value[None], level=level)
    problem = Problem(downstream.law, first.value[None] - downstream.centre[:, None], np.ones_like(first.value))
    coefficient, gamma = downstream.solution[1], downstream.solution[2]
    slope = -gamma * coefficient * np.exp(-gamma * problem.x[0])
    variance = second.variance + slope**2 * first.variance
    half = quantile(level, min(loss.dof, downstream.dof)) * np.sqrt(variance)
    return Prediction(second.value, second.value - half, second.value + half, variance)


def intervals(fitted: Fit, *, level: float) -> dict[str, tuple[float, float] | None]:
    """The interval of every parameter and derived value; None where there is none."""
    values = fitted.values
    if fitted.factor is None:
        return dict.fromkeys(values)
    with np.errstate(all="ignore"):
        slopes = derivatives(lambda p: named(fitted.law, p, fitted.centre), fitted.solution)
    found: dict[str, tuple[float, float] | None] = {}
    for name, value in values.items():
        with np.errstate(all="ignore"):
            half = quantile(level, fitted.dof) * float(np.linalg.norm(slopes[name] @ fitted.factor))
            if name in LOGARITHMIC and value > 0:
                low, high = float(value * np.exp(-half / value)), float(value * np.exp(half / value))
            else:
                low, high = value - half, value + half
        found[name] = (low, high) if math.isfinite(low) and math.isfinite(high) else None
    return found


def derivatives(
    function: Callable[[np.ndarray], Mapping[str, np.ndarray]], solution: np.ndarray
) -> dict[str, np.ndarray]:
    """Gradients (P,) of named values, by a complex step: exact to rounding."""
    steps = np.maximum(np.abs(solution), 1e-8) * 1e-20
    columns = [function(solution + 1j * step * np.eye(len(solution))[at]) for at, step in enumerate(steps)]
    return {
        name: np.array([np.imag(column[name]) / step for column, step in zip(columns, steps, strict=True)])
        for name in columns[0]
    }


def quantile(level: float, dof: int) -> float:
    """Student's t: how many standard errors a two-sided interval of this level reaches."""
    from scipy.special import stdtrit

    return float(stdtrit(dof, (1 + level) / 2)) if dof > 0 else math.nan


def to_json(fitted: Fit) -> dict[str, object]:
    """A fit as JSON, complete enough to predict from."""
    return {
        "law": fitted.law.name,
        "loss": fitted.loss,
        "delta": fitted.delta,
        "space": fitted.space,
        "centre": fitted.centre.tolist(),
        "solution": fitted.solution.tolist(),
        "factor": None if fitted.factor is None else fitted.factor.tolist(),
        "noise": fitted.noise,
        "objective": fitted.objective,
        "rss": fitted.rss,
        "n": fitted.n,
        "certificate": certificate_json(fitted.certificate),
    }


def certificate_json(certificate: Certificate) -> dict[str, object]:
    """A certificate as JSON."""
    return {**vars(certificate), "bounds": list(certificate.bounds)}


def from_json(stored: Mapping[str, object]) -> Fit:
    """The fit that `to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: something is missing or of another form.
    """
    law = DOWNSTREAM if stored["law"] == DOWNSTREAM.name else LAWS[str(stored["law"])]
    certificate = dict(stored["certificate"])  # type: ignore[call-overload]
    factor = stored["factor"]
    return Fit(
        law=law,
        loss=stored["loss"],  # type: ignore[arg-type]
        delta=float(stored["delta"]),  # type: ignore[arg-type]
        space=stored["space"],  # type: ignore[arg-type]
        centre=np.array(stored["centre"], np.float64),
        solution=np.array(stored["solution"], np.float64),
        factor=None if factor is None else np.array(factor, np.float64),
        noise=stored["noise"],  # type: ignore[arg-type]
        objective=float(stored["objective"]),  # type: ignore[arg-type]
        rss=float(stored["rss"]),  # type: ignore[arg-type]
        n=int(stored["n"]),  # type: ignore[call-overload]
        certificate=Certificate(**{**certificate, "bounds": tuple(certificate["bounds"])}),
    )


def optimum(fitted: Fit, flops: float) -> tuple[float, float]:
    """The parameters N and tokens D of least loss among all with 6 N D = flops."""
    values = fitted.values
    alpha = values["alpha"]
    beta = values["beta"] if fitted.law is CHINCHILLA else alpha
    ratio = (alpha * values["A"] / (beta * values["B"])) ** (1 / (alpha + beta))
    product = flops / 6.0
    return ratio * product ** (beta / (alpha + beta)), product ** (alpha / (alpha + beta)) / ratio
