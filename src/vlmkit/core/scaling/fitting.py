"""A fitted law: its best solution, the points that it was fitted to, and what is known about its error."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.scaling.curves import Loss, Problem, Space, objective_of, residuals, resolution, values_at
from vlmkit.core.scaling.laws import Law, law_of
from vlmkit.core.scaling.solver import Certificate, solve

OUTLYING = 5.0  # robust deviations: one in two million under the normal law
LEAST_FREEDOM = 10  # points beyond the parameters, below which an outlier cannot be told from noise


@dataclass(frozen=True)
class Fit:
    """A law with its best solution (P,). `centre` (T,) was subtracted from the variables of `problem`, whose points are
    sorted; `order` (N,) says where each lay in the caller's table. A published law has no points."""

    problem: Problem
    centre: np.ndarray
    solution: np.ndarray
    order: np.ndarray
    certificate: Certificate

    @property
    def law(self) -> Law:
        """The law."""
        return self.problem.law

    @property
    def n(self) -> int:
        """How many points it was fitted to."""
        return self.problem.y.size

    @property
    def dof(self) -> int:
        """Points less parameters; 0 for a law without points."""
        return max(0, self.n - self.law.num_parameters)

    @cached_property
    def residuals(self) -> np.ndarray:
        """Law minus data (N,), in the space of the fit, in the order of the problem."""
        return residuals(self.problem, self.solution)

    @cached_property
    def objective(self) -> float:
        """The objective at the solution."""
        return objective_of(self.problem, self.solution)

    @cached_property
    def rss(self) -> float:
        """The sum of squared residuals."""
        return float(self.residuals @ self.residuals)

    @cached_property
    def noise(self) -> float | None:
        """The variance of one observation, in the space of the fit; None without degrees of freedom. Outliers do not
        count where the loss is one that they do not bend."""
        if self.dof <= 0:
            return None
        kept = following(self.problem, self.residuals)
        noise = float(np.sum(self.residuals[kept] ** 2)) / (self.dof - int((~kept).sum()))
        return max(noise, resolution(self.problem) ** 2)

    @property
    def exact(self) -> bool:
        """Whether the law passes through all its points, as far as they are known."""
        return self.n > 0 and float(np.abs(self.residuals).max()) <= resolution(self.problem)

    @property
    def values(self) -> dict[str, float]:
        """The law's parameters and what derives from them."""
        with np.errstate(all="ignore"):
            return {name: float(value) for name, value in self.law.named(self.solution, self.centre).items()}

    def at(self, x: np.ndarray) -> np.ndarray:
        """What the law says (N,) at variables x (T, N)."""
        with np.errstate(all="ignore"):  # far outside the points a law may overflow: then there is no number
            return values_at(self.law, self.solution, x - self.centre[:, None])


def following(problem: Problem, r: np.ndarray) -> np.ndarray:
    """Which points (N,) follow the law of the majority, by their residuals r (N,): all with least squares, which an
    outlier bends, and where they are too few to tell."""
    spare = r.size - problem.law.num_parameters
    if problem.loss == "lsq" or spare < LEAST_FREEDOM:
        return np.ones(r.size, bool)
    return np.asarray(np.abs(r) <= OUTLYING * deviation(r, spare))


def deviation(r: np.ndarray, spare: int) -> float:
    """The robust standard deviation of residuals (N,): the median of the `spare` largest sizes over that of the normal
    law, for as many residuals as there are parameters vanish."""
    return float(np.median(np.sort(np.abs(r))[-spare:])) / 0.6745


def fit(
    law: Law, x: np.ndarray, y: np.ndarray, *, loss: Loss, delta: float, space: Space, cluster: np.ndarray | None = None
) -> Fit:
    """Fit a law to values y (N,) at variables x (T, N); `cluster` (N,) numbers the run that each point belongs to.

    Raises:
        InputError: fewer points than parameters.
    """
    check_count(law, y.size)
    order = np.lexsort((y, *x))  # sums do not depend on the order of the rows
    centre = x[:, order].mean(1)
    problem = Problem(
        law, x[:, order] - centre[:, None], y[order], loss, delta, space, None if cluster is None else cluster[order]
    )
    solution, certificate = solve(problem)
    return Fit(problem, centre, solution, order, certificate)


def check_count(law: Law, count: int) -> None:
    """Refuse fewer points than parameters."""
    if count < law.num_parameters:
        raise InputError(
            f"{count} points cannot determine the {law.num_parameters} parameters of '{law.name}'",
            where="the points that are left to fit",
            fix="fit more runs: widen --where or --fit-where, or take a law with fewer parameters",
        )


def published(law: Law, params: Mapping[str, float]) -> Fit:
    """A law from its parameters alone: it predicts, and knows nothing of its error.

    Raises:
        InputError: a parameter is missing.
    """
    missing = [name for name in law.parameters if name not in params]
    if missing:
        raise InputError(
            f"'{law.name}' needs {', '.join(missing)}", where="params", fix=f"give {', '.join(law.parameters)}"
        )
    none, size = np.zeros(0), len(law.over)
    solution = np.array(law.solution(params), np.float64)
    certificate = Certificate(0, 0, 1, 0.0, None, 0.0, ())
    return Fit(Problem(law, np.zeros((size, 0)), none), np.zeros(size), solution, none.astype(int), certificate)


def certificate_json(certificate: Certificate) -> dict[str, object]:
    """A certificate as JSON."""
    return {**vars(certificate), "bounds": list(certificate.bounds)}


def to_json(fitted: Fit) -> dict[str, object]:
    """A fit as JSON, with its points: complete enough to predict, to judge and to fit again."""
    problem = fitted.problem
    points = {"x": (problem.x + fitted.centre[:, None]).tolist(), "y": problem.y.tolist()}
    return {
        "law": problem.law.name,
        "over": list(problem.law.over),
        "loss": problem.loss,
        "delta": problem.delta,
        "space": problem.space,
        "centre": fitted.centre.tolist(),
        "solution": fitted.solution.tolist(),
        "points": points | {"cluster": None if problem.cluster is None else problem.cluster.tolist()},
        "order": fitted.order.tolist(),
        "certificate": certificate_json(fitted.certificate),
    }


def from_json(stored: Mapping[str, object]) -> Fit:
    """The fit that `to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: something is missing or of another form.
    """
    points, over = dict(stored["points"]), list(stored["over"])  # type: ignore[call-overload]
    certificate = dict(stored["certificate"])  # type: ignore[call-overload]
    law = law_of(str(stored["law"]), over[0])
    centre = np.array(stored["centre"], np.float64)
    x = np.array(points["x"], np.float64).reshape(len(law.over), -1)
    cluster = None if points["cluster"] is None else np.array(points["cluster"], int)
    problem = Problem(
        law,
        x - centre[:, None],
        np.array(points["y"], np.float64),
        stored["loss"],  # type: ignore[arg-type]
        float(stored["delta"]),  # type: ignore[arg-type]
        stored["space"],  # type: ignore[arg-type]
        cluster,
    )
    solution, order = np.array(stored["solution"], np.float64), np.array(stored["order"], int)
    if solution.shape != (law.num_parameters,) or not np.isfinite(solution).all():
        raise ValueError(f"the solution of '{law.name}' is not {law.num_parameters} numbers")
    sizes = {x.shape[1], problem.y.size, order.size, *(() if cluster is None else (cluster.size,))}
    if centre.shape != (len(law.over),) or len(sizes) != 1 or set(order.tolist()) != set(range(order.size)):
        raise ValueError("its points do not fit together")
    return Fit(
        problem,
        centre,
        solution,
        order,
        Certificate(**{**certificate, "bounds": tuple(certificate["bounds"])}),
    )


def digest(fitted: Fit) -> str:
    """A digest of the fitted points, the same for any order of the rows."""
    x = fitted.problem.x + fitted.centre[:, None]
    return hashlib.sha256(np.ascontiguousarray(np.vstack([x, fitted.problem.y])).tobytes()).hexdigest()
