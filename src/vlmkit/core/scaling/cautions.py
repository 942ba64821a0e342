"""What a reader of a fit must be told: each caution is one sentence with its number."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vlmkit.core.scaling.fitting import Fit, predict, quantile
from vlmkit.core.scaling.laws import DOWNSTREAM
from vlmkit.core.scaling.points import Points

FEW_DOF = 2
DECADES = 0.5  # extrapolation beyond the fit that is worth a word
Ranges = Mapping[str, tuple[float, float]]
POSITIVE = {"E", "a", "b", "A", "B", "k"}


def of_fit(fitted: Fit, x: np.ndarray, *, level: float) -> Iterator[str]:
    """Cautions about a fit to points at variables x (T, N)."""
    what = "the downstream fit" if fitted.law is DOWNSTREAM else "the fit"
    yield from of_freedom(fitted, level=level)
    for edge in fitted.certificate.bounds:
        yield f"{what} ends on the edge of what was searched ({edge}): the points do not determine it"
    for name, value in fitted.values.items():
        if name in POSITIVE and name in {*fitted.law.parameters, "A", "B"} and value <= 0:
            yield f"{name} = {value:.3g} of {what} is not positive: the law has lost its meaning, do not extrapolate"
    if fitted.certificate.local_minima > 1:
        yield f"{what} has {fitted.certificate.local_minima} local minima; the best one is reported"
    if fitted.dof > 0 and fitted.factor is None:
        yield f"{what} does not determine all its parameters: there are no intervals"
    yield from weak_terms(fitted, x)


def of_freedom(fitted: Fit, *, level: float) -> Iterator[str]:
    """Cautions about how little the points say of their own error."""
    what = "the downstream fit" if fitted.law is DOWNSTREAM else "the fit"
    if fitted.dof <= 0:
        yield f"{what} has no degree of freedom: it passes through all {fitted.n} points and says nothing of its error"
    elif fitted.dof <= FEW_DOF:
        reach = quantile(level, fitted.dof)
        yield (
            f"{what} has {fitted.dof} degree{'s' * (fitted.dof > 1)} of freedom ({fitted.n} points, "
            f"{fitted.law.num_parameters} parameters): its {level:.0%} interval reaches {reach:.1f} standard errors, "
            "and the points say next to nothing about its error"
        )


def weak_terms(fitted: Fit, x: np.ndarray) -> Iterator[str]:
    """Terms that move less over the points than one observation's noise."""
    if fitted.noise is None or fitted.law is DOWNSTREAM:
        return
    middle = float(predict(fitted, x, level=0.5).value.mean()) if fitted.space == "log" else 1.0
    noise = float(np.sqrt(fitted.noise)) * middle
    for term, k in enumerate(fitted.law.exponents):
        theta = fitted.solution[1 + fitted.law.num_terms + k]
        moved = float(np.ptp(fitted.solution[1 + term] * np.exp(-theta * (x[term] - fitted.centre[term]))))
        if moved < noise:
            yield f"the term in {'ND'[term]} moves by {moved:.2g} over the points, a run's noise is {noise:.2g}"


def extrapolation(ranges: Ranges, asked: Points) -> dict[str, float]:
    """How many decades the farthest of the asked points lies outside the ranges of the fitted ones (0: inside)."""
    found = {}
    for name, wanted in axes(asked).items():
        low, high = ranges[name]
        if wanted.size:
            above, below = np.log10(wanted / high).max(), np.log10(low / wanted).max()
            found[name] = round(float(max(0.0, above, below)), 4)
    return found


def ranges(fitted: Points) -> Ranges:
    """The smallest and largest N, D, M and C of points."""
    return {name: (float(values.min()), float(values.max())) for name, values in axes(fitted).items()}


def axes(runs: Points) -> dict[str, np.ndarray]:
    """The quantities that a reader counts decades in."""
    return {"N": runs.size, "D": runs.tokens, "M": runs.multiplier, "C": runs.flops}


def of_range(decades: Mapping[str, float]) -> Iterator[str]:
    """Cautions about how far predictions reach."""
    far = [f"{value:.1f} in {name}" for name, value in decades.items() if value > DECADES]
    if far:
        yield f"predictions reach beyond the fitted runs, by decades: {', '.join(far)}"


def of_targets(targets: Sequence[Mapping[str, object]], *, fitted: set[str]) -> Iterator[str]:
    """Cautions about targets whose truth is known."""
    for target in targets:
        if target["inside"] is False:
            yield (
                f"the truth of '{target['name']}' ({target['true']:.4g}) lies outside "
                f"its interval [{target['low']:.4g}, {target['high']:.4g}]"
            )
    both = [str(target["name"]) for target in targets if target["name"] in fitted]
    if both:
        yield f"{len(both)} of the targets are among the fitted runs ({', '.join(both[:3])}): no test of the law"
