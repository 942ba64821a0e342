"""Scaling laws in coordinates where they can be fitted: y = g(c_0 + sum_k c_k phi_k(x; theta)), linear for given theta.

With x = ln N and ln D, phi = exp(-theta x) and g the identity that is Chinchilla's `L = E + A N^-alpha + B D^-beta`
(Hoffmann et al. 2022, Approach 3); with one exponent for both it is the over-training law of Gadre et al. 2024
(arXiv 2403.08540, eq. 4), `L(C, M) = E + (a M^eta + b M^-eta) C^-eta`, because N = (C/6M)^1/2 and D = (CM/6)^1/2; with
x = L it is their downstream law (eq. 5). Kaplan et al. 2020 (eq. 1.5) is linear in the logarithm of the loss.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vlmkit.core.scaling.terms import Shape, crossover, identity, power, sigmoid

FLOPS_PER_PARAMETER_AND_TOKEN = 6.0  # C = 6 N D
Values = dict[str, np.ndarray]  # parameters by name, each a number or (B,)
Variable = Literal["N", "D", "C", "L"]
EXPONENTS = (0.01, 40.0)  # over the spread of the variable: from a straight line to a step
SLOPES = (0.1, 60.0)  # of a sigmoid, over the spread of the loss
OUTSIDE = 8.0  # spreads of the loss by which a sigmoid's middle may lie outside the points
INSIDE = 0.7  # the share of its scan that lies among the points
RATIOS = (0.02, 50.0)  # of Kaplan's two exponents
SCAN = {0: 1, 1: 600, 2: 48}  # points a dimension


@dataclass(frozen=True)
class Term:
    """A column: its shape, the rows of the variables that it reads, the entries of theta that it takes."""

    shape: Shape
    rows: tuple[int, ...]
    theta: tuple[int, ...]


@dataclass(frozen=True)
class Law:
    """A law's form and the names of its parameters.

    `named` turns a solution (c_0, …, theta_0, …) over variables from which `centre` (T,) was subtracted into the law's
    own parameters and what derives from them; `solution` turns the parameters back, for a centre of zero. Both take
    batches (B, P) as well, and complex numbers, through which derivatives are taken.
    """

    name: str
    over: tuple[Variable, ...]
    terms: tuple[Term, ...]
    parameters: tuple[str, ...]
    formula: str
    named: Callable[[np.ndarray, np.ndarray], Values]
    solution: Callable[[Mapping[str, float]], list[float]]
    link: Literal["identity", "exp", "complement"] = "identity"

    @property
    def num_terms(self) -> int:
        """Terms after the constant."""
        return len(self.terms)

    @property
    def num_exponents(self) -> int:
        """Entries of theta."""
        return len({k for term in self.terms for k in term.theta})

    @property
    def num_parameters(self) -> int:
        """The constant, a coefficient a term, and theta."""
        return 1 + self.num_terms + self.num_exponents


def parts(law_terms: int, solution: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Constant, coefficients and theta of solutions (…, P)."""
    pieces = [solution[..., at] for at in range(solution.shape[-1])]
    return pieces[0], pieces[1 : 1 + law_terms], pieces[1 + law_terms :]


def name_chinchilla(solution: np.ndarray, centre: np.ndarray) -> Values:
    """L = E + A N^-alpha + B D^-beta; a_opt is the exponent of the compute-optimal N in C."""
    constant, (first, second), (alpha, beta) = parts(2, solution)
    A, B = first * np.exp(alpha * centre[0]), second * np.exp(beta * centre[1])
    return {"E": constant, "A": A, "B": B, "alpha": alpha, "beta": beta, "a_opt": beta / (alpha + beta)}


def name_tied(solution: np.ndarray, centre: np.ndarray) -> Values:
    """L = E + A N^-alpha + B D^-alpha; M_star is the compute-optimal number of tokens a parameter."""
    constant, (first, second), (alpha,) = parts(2, solution)
    A, B = first * np.exp(alpha * centre[0]), second * np.exp(alpha * centre[1])
    ratio = np.exp(centre[1] - centre[0] + np.log(second / first) / alpha)
    return {"E": constant, "A": A, "B": B, "alpha": alpha, "M_star": ratio}


def name_gadre(solution: np.ndarray, centre: np.ndarray) -> Values:
    """The same curve in the paper's terms: eta = alpha / 2, a = A 6^eta, b = B 6^eta."""
    tied = name_tied(solution, centre)
    eta = tied["alpha"] / 2
    six = FLOPS_PER_PARAMETER_AND_TOKEN**eta
    return {"E": tied["E"], "a": tied["A"] * six, "b": tied["B"] * six, "eta": eta} | tied


def gadre_solution(p: Mapping[str, float]) -> list[float]:
    """From E, a, b, eta."""
    six = FLOPS_PER_PARAMETER_AND_TOKEN ** p["eta"]
    return [p["E"], p["a"] / six, p["b"] / six, 2 * p["eta"]]


def name_power(solution: np.ndarray, centre: np.ndarray) -> Values:
    """L = E + A X^-alpha."""
    constant, (first,), (alpha,) = parts(1, solution)
    return {"E": constant, "A": first * np.exp(alpha * centre[0]), "alpha": alpha}


def name_kaplan(solution: np.ndarray, centre: np.ndarray) -> Values:
    """L = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D."""
    constant, (alpha_D,), (ratio, shift) = parts(1, solution)
    log_D = centre[1] + constant / alpha_D
    log_N = centre[0] + (shift + constant / alpha_D) / ratio
    return {"N_c": np.exp(log_N), "D_c": np.exp(log_D), "alpha_N": ratio * alpha_D, "alpha_D": alpha_D}


def kaplan_solution(p: Mapping[str, float]) -> list[float]:
    """From N_c, D_c, alpha_N, alpha_D."""
    ratio, log_D = p["alpha_N"] / p["alpha_D"], np.log(p["D_c"])
    return [p["alpha_D"] * log_D, p["alpha_D"], ratio, ratio * np.log(p["N_c"]) - log_D]


def name_exponential(solution: np.ndarray, centre: np.ndarray) -> Values:
    """Err = eps - k exp(-gamma L)."""
    constant, (first,), (gamma,) = parts(1, solution)
    return {"eps": constant, "k": -first * np.exp(gamma * centre[0]), "gamma": gamma}


def name_sigmoid(solution: np.ndarray, centre: np.ndarray) -> Values:
    """1 - Err = b + a / (1 + exp(-k (L - L_0))), a < 0: from b at low losses down to a + b at high ones."""
    constant, (scaled,), (k, middle) = parts(1, solution)
    rise = scaled * (1 + np.exp(k * middle))  # the column is one at the centre
    return {"a": -rise, "b": 1 - constant, "k": k, "L_0": middle + centre[0], "floor": 1 - constant - rise}


def sigmoid_solution(p: Mapping[str, float]) -> list[float]:
    """From a, b, k, L_0."""
    return [1 - p["b"], -p["a"] / (1 + np.exp(p["k"] * p["L_0"])), p["k"], p["L_0"]]


def name_complement(solution: np.ndarray, centre: np.ndarray) -> Values:
    """-ln(1 - Err) = A C^-alpha."""
    constant, (slope,), _ = parts(1, solution)
    return {"A": np.exp(constant - slope * centre[0]), "alpha": -slope}


def both(*theta: int) -> tuple[Term, ...]:
    """A power of N and one of D."""
    return Term(power, (0,), theta[:1]), Term(power, (1,), theta[-1:])


GADRE = Law(
    "gadre", ("N", "D"), both(0), ("E", "a", "b", "eta"),
    "L(C, M) = E + (a M^eta + b M^-eta) C^-eta, C = 6 N D, M = D / N", name_gadre, gadre_solution,
)  # fmt: skip
CHINCHILLA = Law(
    "chinchilla", ("N", "D"), both(0, 1), ("E", "A", "B", "alpha", "beta"), "L(N, D) = E + A N^-alpha + B D^-beta",
    name_chinchilla, lambda p: [p[name] for name in ("E", "A", "B", "alpha", "beta")],
)  # fmt: skip
TIED = Law(
    "chinchilla-tied", ("N", "D"), both(0), ("E", "A", "B", "alpha"), "L(N, D) = E + A N^-alpha + B D^-alpha",
    name_tied, lambda p: [p[name] for name in ("E", "A", "B", "alpha")],
)  # fmt: skip
POWER = Law(
    "power", ("C",), (Term(power, (0,), (0,)),), ("E", "A", "alpha"), "L(X) = E + A X^-alpha",
    name_power, lambda p: [p[name] for name in ("E", "A", "alpha")],
)  # fmt: skip
KAPLAN = Law(
    "kaplan", ("N", "D"), (Term(crossover, (0, 1), (0, 1)),), ("N_c", "D_c", "alpha_N", "alpha_D"),
    "L(N, D) = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D", name_kaplan, kaplan_solution, "exp",
)  # fmt: skip
EXPONENTIAL = Law(
    "exponential", ("L",), (Term(power, (0,), (0,)),), ("eps", "k", "gamma"), "Err(L) = eps - k exp(-gamma L)",
    name_exponential, lambda p: [p["eps"], -p["k"], p["gamma"]],
)  # fmt: skip
SIGMOID = Law(
    "sigmoid", ("L",), (Term(sigmoid, (0,), (0, 1)),), ("a", "b", "k", "L_0"),
    "1 - Err(L) = b + a / (1 + exp(-k (L - L_0)))", name_sigmoid,
    sigmoid_solution,
)  # fmt: skip
LOG_ACCURACY = Law(
    "log-accuracy", ("C",), (Term(identity, (0,), ()),), ("A", "alpha"), "-ln(1 - Err(C)) = A C^-alpha",
    name_complement, lambda p: [np.log(p["A"]), -p["alpha"]], "complement",
)  # fmt: skip
LAWS = {law.name: law for law in (GADRE, CHINCHILLA, TIED, POWER, KAPLAN)}
DOWNSTREAM_LAWS = {law.name: law for law in (EXPONENTIAL, SIGMOID, LOG_ACCURACY)}


def law_of(name: str, over: Variable = "C") -> Law:
    """A law by its name; `over` is the variable of the power law."""
    law = (LAWS | DOWNSTREAM_LAWS)[name]
    return replace(law, over=(over,), formula=POWER.formula.replace("X", over)) if law is POWER else law


def variables(law: Law, *, size: np.ndarray, tokens: np.ndarray, flops: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """The variables (T, N) of a law: logarithms of N, D and C (parameters, tokens, FLOPs), and the loss as it is."""
    known = {"N": size, "D": tokens, "C": flops, "L": loss}
    rows = [np.asarray(known[name], np.float64) for name in law.over]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([row if name == "L" else np.log(row) for name, row in zip(law.over, rows, strict=True)])


def box(law: Law, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest theta (Q,) worth looking at, for centred variables x (T, N)."""
    reach = float(np.ptp(x, axis=1).max()) or 1.0
    if law.num_exponents == 0:
        return np.zeros(0), np.zeros(0)
    if law.link == "exp":
        far = RATIOS[1] * np.abs(x[0]).max() + np.abs(x[1]).max()
        return np.array([RATIOS[0], -far]), np.array([RATIOS[1], far])
    if law.terms[0].shape is sigmoid:
        away = OUTSIDE * reach
        return np.array([SLOPES[0] / reach, x.min() - away]), np.array([SLOPES[1] / reach, x.max() + away])
    return np.full(law.num_exponents, EXPONENTS[0] / reach), np.full(law.num_exponents, EXPONENTS[1] / reach)


def grid(law: Law, x: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """The theta (G, Q) that are scanned, and the form of the grid that they make."""
    low, high = box(law, x)
    points = SCAN[law.num_exponents]
    first = [np.geomspace(low[k], high[k], points) for k in range(law.num_exponents) if low[k] > 0]
    if law.link == "exp":
        first.append(np.linspace(low[1], high[1], points))
    elif law.num_exponents and law.terms[0].shape is sigmoid:  # dense among the points, sparse outside
        share = np.linspace(-1.0, 1.0, points)
        beyond = np.maximum(np.abs(share) - INSIDE, 0.0) / (1 - INSIDE)
        inside = np.clip(share, -INSIDE, INSIDE) / (2 * INSIDE)
        bent = inside + np.sign(share) * OUTSIDE * beyond**2
        first = [first[0], (x.min() + x.max()) / 2 + bent * float(np.ptp(x))]
    axes = [axis.ravel() for axis in np.meshgrid(*first, indexing="ij")] if first else []
    theta = np.stack(axes, axis=1) if axes else np.zeros((1, 0))
    if law.link == "exp":  # the crossing has to lie among the points: its reach grows with the ratio
        theta[:, 1] *= (theta[:, 0] * np.abs(x[0]).max() + np.abs(x[1]).max()) / high[1]
    return theta, (points,) * law.num_exponents or (1,)


def with_numbers(law: Law, params: Mapping[str, float | None]) -> str:
    """The formula with its numbers in it."""
    text = {name: "?" if value is None else f"{value:.4g}" for name, value in params.items()}
    left, _, right = law.formula.partition(" = ")
    right = re.sub(r"\w+", lambda word: text.get(word[0], word[0]), right.partition(",")[0] if law is GADRE else right)
    return f"{left} = {right}".replace("+ -", "- ").replace("- -", "+ ")
