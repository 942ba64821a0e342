"""What a reader of a fit must be told: each caution is one sentence with its number."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vlmkit.core.scaling.evidence import Evidence, Places
from vlmkit.core.scaling.fitting import Fit
from vlmkit.core.scaling.influence import Influence
from vlmkit.core.scaling.points import Points, together
from vlmkit.core.scaling.terms import power, sigmoid
from vlmkit.core.scaling.wald import LOGARITHMIC, covariance_factor, freedom, intervals, quantile

FEW_DOF = 2
FEW_PAIRS = 30
DECADES = 0.5  # extrapolation beyond the fit that is worth a word
SPREAD = 1.1  # a ratio of multipliers that a law of C alone cannot take for one
SETTLED = 1e-4  # relative, by which a last step may still move a parameter
APART = 0.1  # of a logarithm, by which N and D have to move apart
WIDE = 10.0  # times the lower end of a factor's interval
GAP = 1e-6  # relative, by which a draw of the bootstrap may miss its optimum
Ranges = Mapping[str, tuple[float, float]]
SIGNS = {  # what a law needs above zero, or with a minus below it, to mean what it says
    "gadre": ("E", "a", "b"),
    "chinchilla": ("E", "A", "B"),
    "chinchilla-tied": ("E", "A", "B"),
    "power": ("E", "A"),
    "kaplan": ("alpha_N", "alpha_D"),
    "exponential": ("k",),
    "sigmoid": ("-a", "k"),
    "log-accuracy": ("A",),
}
TOPICS = {  # a word of a warning, and what it is about
    "of freedom": "how little the runs say of their own error",
    "not follow": "outliers",
    "beyond the fitted": "extrapolation",
    "lies outside": "missed targets",
    "among the fitted": "targets that were fitted",
    "edge of what": "parameters that the runs do not determine",
    "not determine": "parameters that the runs do not determine",
    "lost its meaning": "a term that has lost its meaning",
    "has not settled": "a fit that has not settled",
    "in the fitted runs, to": "sizes and tokens that grow in step",
    " rows (row": "a table that contradicts itself",
    "local minima": "several minima",
    "moves by": "a term that hardly moves",
    "draw": "the bootstrap",
    "Wald's": "intervals of another kind",
    "no accuracy": "plateaus that the runs do not show",
    "fraction of 1": "errors that are no fractions",
    "several points each": "runs that count several times",
    "datasets": "runs of several training sets",
    "of compute alone": "runs of several numbers of tokens a parameter",
}


def of_fit(evidence: Evidence, fitted: Fit) -> Iterator[str]:
    """Cautions about one of the fits."""
    what = name_of(fitted)
    yield from of_freedom(fitted, level=evidence.level)
    for name in fitted.certificate.bounds:
        yield f"{what} ends on the edge of what was searched ({name}): the points do not determine it"
    yield from of_settling(fitted)
    yield from of_signs(fitted)
    if fitted.certificate.local_minima > 1:
        yield f"{what} has {fitted.certificate.local_minima} local minima; the best one is reported"
    if freedom(fitted) > 0 and covariance_factor(fitted) is None:
        yield f"{what} does not determine all its parameters: there are no intervals"
    if evidence.how == "profile" and fitted.law.terms[0].shape is sigmoid:
        yield f"the intervals of {what} are Wald's: a sigmoid's profile cannot be followed"
    yield from of_spread(fitted, evidence.level)
    yield from weak_terms(fitted)
    if evidence.draws:
        yield from of_bootstrap(evidence, fitted)


def of_signs(fitted: Fit) -> Iterator[str]:
    """Parameters with which a law no longer means what it says, and plateaus where no accuracy can be."""
    what = name_of(fitted)
    for sign in SIGNS[fitted.law.name]:
        name, wanted = sign.removeprefix("-"), "negative" if sign.startswith("-") else "positive"
        value = fitted.values[name]
        if not (value < 0 if wanted == "negative" else value > 0):
            yield f"{name} = {value:.3g} of {what} is not {wanted}: the law has lost its meaning, do not extrapolate"
    for name in ("b", "floor") if fitted.law.name == "sigmoid" else ():
        if not 0 <= fitted.values[name] <= 1:
            yield (
                f"{name} = {fitted.values[name]:.3g} of {what} is no accuracy: the points do not show this plateau, "
                "and do not determine where it lies"
            )


def of_settling(fitted: Fit) -> Iterator[str]:
    """A descent that ended before the bottom of its valley."""
    if fitted.certificate.gradient > SETTLED:
        step = fitted.certificate.gradient
        yield f"{name_of(fitted)} has not settled: a further step would still move it by {step:.1e}"


def name_of(fitted: Fit) -> str:
    """How a sentence calls a fit."""
    return "the fit" if fitted.law.over != ("L",) and fitted.law.link != "complement" else "the downstream fit"


def of_freedom(fitted: Fit, *, level: float) -> Iterator[str]:
    """Cautions about how little the points say of their own error."""
    what, dof = name_of(fitted), freedom(fitted)
    if not fitted.n:
        yield "this law comes without its points: it predicts, and knows nothing of its error"
    elif fitted.dof <= 0:
        yield f"{what} has no degree of freedom: it passes through all {fitted.n} points and says nothing of its error"
    elif dof <= 0:
        yield f"{what} has no degree of freedom: all its {fitted.n} points are one cluster"
    elif dof <= FEW_DOF:
        reach = quantile(level, dof)
        counted = f"{fitted.n} points, {fitted.law.num_parameters} parameters"
        counted += f", {dof + 1} clusters" if dof < fitted.dof else ""
        yield (
            f"{what} has {dof} degree{'s' * (dof != 1)} of freedom ({counted}): its {level:.0%} interval reaches "
            f"{reach:.1f} standard errors, and the points say next to nothing about its error"
        )


def vague(fitted: Fit, level: float) -> bool:
    """Whether the points leave a factor of the law open by a factor of WIDE."""
    ends = [intervals(fitted, level=level)[name] for name in LOGARITHMIC if name in fitted.law.parameters]
    return any(one is None or not one[0] > 0 or one[1] > WIDE * one[0] for one in ends)


def of_spread(fitted: Fit, level: float) -> Iterator[str]:
    """Sizes and tokens that grow in step."""
    if fitted.law.over != ("N", "D") or fitted.n < 3:
        return
    slope, apart = together(*fitted.problem.x)
    if apart < APART and slope > 0 and vague(fitted, level):
        line = "as N" if abs(slope - 1) < 0.005 else f"as N^{slope:.2f}"
        yield (
            f"D goes {line} in the fitted runs, to {apart:.1%}: their two terms can hardly be told apart; the law may "
            "predict larger runs of that kind, but no others, and no best split of a budget"
        )


def weak_terms(fitted: Fit) -> Iterator[str]:
    """Terms that move less over the points than one observation's noise."""
    law, problem = fitted.law, fitted.problem
    if fitted.noise is None or any(term.shape is not power for term in law.terms) or law.over == ("L",):
        return
    middle = float(np.mean(problem.y)) if problem.space == "log" else 1.0
    noise = float(np.sqrt(fitted.noise)) * middle
    for number, term in enumerate(law.terms, start=1):
        theta = fitted.solution[1 + law.num_terms + term.theta[0]]
        moved = float(np.ptp(fitted.solution[number] * np.exp(-theta * problem.x[term.rows[0]])))
        if moved < noise:
            yield (
                f"the term in {law.over[term.rows[0]]} moves by {moved:.2g} over the points, "
                f"a run's noise is {noise:.2g}"
            )


def of_bootstrap(evidence: Evidence, fitted: Fit) -> Iterator[str]:
    """Cautions about the draws, where intervals come from them."""
    draws = evidence.draws_of(fitted)
    if evidence.how != "bootstrap" or not draws.count:
        return
    if draws.kind == "pairs" and fitted.n < FEW_PAIRS:
        yield (
            f"{fitted.n} points are few for a bootstrap of pairs: its draws degenerate, and its intervals are two to "
            "three times too wide; take --bootstrap-kind residual or wild"
        )
    if draws.on_bound:
        share = draws.on_bound / draws.count
        yield f"{share:.1%} of the draws of {name_of(fitted)} end on the edge of what was searched"
    if draws.worst_gap > GAP:
        yield f"a draw of {name_of(fitted)} that was solved again lay {draws.worst_gap:.1e} above its optimum"


def of_influence(known: Points, weight: Influence, fitted: Fit) -> Iterator[str]:
    """The outliers, and what the fit would be without them."""
    rows = np.flatnonzero(weight.outlier)
    if not rows.size:
        return
    rows = rows[np.argsort(-np.abs(weight.deviation[rows]), kind="stable")]
    named = ", ".join(f"{known.names[row]} ({weight.deviation[row]:+.0f})" for row in rows[:8])
    text = (
        f"{rows.size} run{'s' * (rows.size > 1)} do{'es' * (rows.size == 1)} not follow the law of the others "
        f"(in robust standard deviations): {named}{', …' if rows.size > 8 else ''}"
    )
    if weight.without:
        moved = ", ".join(
            f"{name} {fitted.values[name]:.4g} becomes {weight.without[name]:.4g}" for name in fitted.law.parameters
        )
        text += f"; without them {moved}"
    yield text


def of_repeats(known: Points, clustered: bool) -> Iterator[str]:
    """Points that share a run are not independent."""
    counts = Counter(known.names)
    several = [name for name, count in counts.items() if count > 1]
    if several and not clustered:
        yield (
            f"{len(several)} names stand for several points each ({several[0]}, …): if they are one run's checkpoints, "
            "the intervals are too narrow without --cluster name"
        )


def of_fractions(name: str, errors: Points) -> Iterator[str]:
    """Errors are fractions of one."""
    low, high = float(errors.value.min()), float(errors.value.max())
    if low < 0 or high > 1:
        yield f"{name} goes from {low:.3g} to {high:.3g}, but an error is a fraction of 1: divide percents by 100"


def of_datasets(trained_on: np.ndarray | None) -> Iterator[str]:
    """One law for runs on several training sets is a law of none of them."""
    names = [] if trained_on is None else sorted({str(name) for name in trained_on if name is not None})
    if len(names) > 1:
        yield (
            f"the fitted runs were trained on {len(names)} datasets ({', '.join(names[:4])}), each with a law of its "
            f"own: choose one, such as --where \"dataset == '{names[0]}'\""
        )


def of_compute(fitted: Fit, known: Points) -> Iterator[str]:
    """A law of compute alone takes all multipliers for one."""
    if fitted.law.over == ("C",) and known.multiplier.max() > SPREAD * known.multiplier.min():
        yield (
            f"a law of compute alone supposes one number of tokens a parameter; these runs have "
            f"{known.multiplier.min():.3g} to {known.multiplier.max():.3g}"
        )


def of_draws(evidence: Evidence, without: object) -> Iterator[str]:
    """Where the intervals of a decision come from, and the share of the draws that do not give one."""
    if not evidence.draws or not evidence.draws[0].count:
        yield "there are no bootstrap draws: the decision has no interval"
    elif isinstance(without, float) and without > 0:
        yield (
            f"{without:.1%} of the draws have no run that meets this: those that never reach the loss leave the upper "
            "end open once they are many, those without an optimum are not in the interval"
        )


def of_frontier(evidence: Evidence, rows: Sequence[Mapping[str, object]], ranges: Ranges) -> Iterator[str]:
    """Cautions about a frontier: no draws, no optimum, far from the fitted runs."""
    yield from of_draws(evidence, max((float(str(row["draws_without"] or 0)) for row in rows), default=0.0))
    without = sum(row["N"] is None for row in rows)
    if without:
        yield f"{without} budgets have no optimum under this law: one of its terms is not positive, or does not matter"
    sizes, tokens = (np.array([row[name] for row in rows if row["N"] is not None], float) for name in ("N", "D"))
    if sizes.size:
        yield from of_range(extrapolation(ranges, Places.of(sizes, tokens)))


def extrapolation(ranges: Ranges, *asked: Places) -> dict[str, float]:
    """How many decades the farthest of the asked places lies outside the ranges of the fitted runs (0: inside)."""
    found = {}
    for name, (low, high) in ranges.items():
        wanted = np.concatenate([axes(one)[name] for one in asked])
        wanted = wanted[np.isfinite(wanted)]
        if wanted.size:
            above, below = np.log10(wanted / high).max(), np.log10(low / wanted).max()
            found[name] = round(float(max(0.0, above, below)), 4)
    return found


def ranges(fitted: Points) -> Ranges:
    """The smallest and largest N, D, M and C of runs, of those that are known."""
    return {
        name: (float(values.min()), float(values.max()))
        for name, values in axes(fitted.places).items()
        if np.isfinite(values).all()
    }


def axes(places: Places) -> dict[str, np.ndarray]:
    """The quantities that a reader counts decades in."""
    return {"N": places.size, "D": places.tokens, "M": places.tokens / places.size, "C": places.flops}


def of_range(decades: Mapping[str, float]) -> Iterator[str]:
    """Cautions about how far predictions reach."""
    far = [f"{value:.1f} in {name}" for name, value in decades.items() if value > DECADES]
    if far:
        yield f"predictions reach beyond the fitted runs, by decades: {', '.join(far)}"


def of_targets(targets: Sequence[Mapping[str, object]], *, fitted: set[str]) -> Iterator[str]:
    """Cautions about targets whose truth is known."""
    for target in targets:
        for prefix, what in (("", "truth"), ("downstream_", "downstream error")):
            if target.get(f"{prefix}inside") is False:
                low, high = (bound(target[f"{prefix}{end}"]) for end in ("low", "high"))
                true = target[f"{prefix}true"]
                yield f"the {what} of '{target['name']}' ({true:.4g}) lies outside its interval [{low}, {high}]"
    both = [str(target["name"]) for target in targets if target["name"] in fitted]
    if both:
        yield f"{len(both)} of the targets are among the fitted runs ({', '.join(both[:3])}): no test of the law"


def bound(end: object) -> str:
    """An end of an interval; an open one is said to be so."""
    return f"{end:.4g}" if isinstance(end, float) else "open"


def topics(notes: Sequence[str]) -> list[str]:
    """What warnings are about, each matter once."""
    found = [next((topic for word, topic in TOPICS.items() if word in note), "what it says") for note in notes]
    return list(dict.fromkeys(found))
