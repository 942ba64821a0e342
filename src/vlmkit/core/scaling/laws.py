"""Scaling laws as sums of a constant and exponentials, in coordinates where they can be fitted.

Every law here is `y = c_0 + sum_k c_k exp(-theta_k x_k)` with centred x. With x = ln N and ln D that is Chinchilla's
`L = E + A N^-alpha + B D^-beta` (Hoffmann et al. 2022, Approach 3); with one exponent for both it is the over-training
law of Gadre et al. 2024 (arXiv 2403.08540, eq. 4), `L(C, M) = E + (a M^eta + b M^-eta) C^-eta`, because N = (C/6M)^1/2
and D = (CM/6)^1/2; with x = L it is their downstream law (eq. 5), `Err = eps - k exp(-gamma L)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

FLOPS_PER_PARAMETER_AND_TOKEN = 6.0  # C = 6 N D


@dataclass(frozen=True)
class Law:
    """A law's shape: which exponent each term takes, and the names of its parameters."""

    name: str
    exponents: tuple[int, ...]  # for each term after the constant, which of the exponents it takes
    parameters: tuple[str, ...]
    formula: str

    @property
    def num_terms(self) -> int:
        """Terms after the constant."""
        return len(self.exponents)

    @property
    def num_exponents(self) -> int:
        """Different exponents."""
        return max(self.exponents) + 1

    @property
    def num_parameters(self) -> int:
        """The constant, a coefficient a term, and the exponents."""
        return 1 + self.num_terms + self.num_exponents


GADRE = Law("gadre", (0, 0), ("E", "a", "b", "eta"), "L(C, M) = E + (a M^eta + b M^-eta) C^-eta, C = 6 N D, M = D / N")
CHINCHILLA = Law("chinchilla", (0, 1), ("E", "A", "B", "alpha", "beta"), "L(N, D) = E + A N^-alpha + B D^-beta")
TIED = Law("chinchilla-tied", (0, 0), ("E", "A", "B", "alpha"), "L(N, D) = E + A N^-alpha + B D^-alpha")
DOWNSTREAM = Law("downstream", (0,), ("eps", "k", "gamma"), "Err(L) = eps - k exp(-gamma L)")
LAWS = {law.name: law for law in (GADRE, CHINCHILLA, TIED)}


def variables(sizes: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The variables (T, N) of the loss laws: ln N and ln D of N runs."""
    return np.log(np.stack([np.asarray(sizes, np.float64), np.asarray(tokens, np.float64)]))


def named(law: Law, solution: np.ndarray, centre: np.ndarray) -> dict[str, np.ndarray]:
    """The law's own parameters and what derives from them, from a solution (c_0, c_1, …, theta_0, …).

    `centre` (T,) is what was subtracted from the variables. The solution may be complex: intervals differentiate here.
    """
    constant, scales = solution[0], solution[1 : 1 + law.num_terms]
    theta = solution[1 + law.num_terms :]
    full = [scale * np.exp(theta[k] * middle) for scale, k, middle in zip(scales, law.exponents, centre, strict=True)]
    if law is DOWNSTREAM:
        return {"eps": constant, "k": -full[0], "gamma": theta[0]}
    values = {"E": constant, "A": full[0], "B": full[1], "alpha": theta[0], "beta": theta[-1]}
    if law is CHINCHILLA:
        return values | {"a_opt": theta[1] / (theta[0] + theta[1])}
    eta = theta[0] / 2
    six = FLOPS_PER_PARAMETER_AND_TOKEN**eta
    values |= {"eta": eta, "a": full[0] * six, "b": full[1] * six, "M_star": (full[1] / full[0]) ** (1 / theta[0])}
    return values


def split(law: Law, values: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """The parameters of a law by their names, and the rest, which derives from them."""
    params = {name: values[name] for name in law.parameters}
    hidden = {"beta"} if law in (GADRE, TIED) else set()
    return params, {name: value for name, value in values.items() if name not in params and name not in hidden}


def with_numbers(law: Law, params: Mapping[str, float | None]) -> str:
    """The formula with its numbers in it."""
    text = {name: "?" if value is None else f"{value:.4g}" for name, value in params.items()}
    if law is GADRE:
        return f"L(C, M) = {text['E']} + ({text['a']} M^{text['eta']} + {text['b']} M^-{text['eta']}) C^-{text['eta']}"
    if law is DOWNSTREAM:
        return f"Err(L) = {text['eps']} - {text['k']} exp(-{text['gamma']} L)"
    beta = text.get("beta", text["alpha"])
    return f"L(N, D) = {text['E']} + {text['A']} N^-{text['alpha']} + {text['B']} D^-{beta}"
