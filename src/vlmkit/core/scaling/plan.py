"""What to train: the cheapest or the best run under what is fixed, counting the tokens that it will serve.

A run of N parameters on D tokens costs 6 N D FLOPs to train and 2 N Y FLOPs to serve Y tokens (Sardana et al. 2024,
arXiv 2401.00448), each at its price. Either the cost is given, and the loss is to be least, or the loss is given, and
the cost is to be least; N or D may be fixed or capped. Every case is one minimum over ln N.
"""

from dataclasses import dataclass, replace

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.scaling.curves import values_at
from vlmkit.core.scaling.evidence import Evidence, Places
from vlmkit.core.scaling.frontier import MOST, Laws, Sample, laws_of, lowest, optimal_tokens, plain, sample, unanswered
from vlmkit.core.scaling.laws import FLOPS_PER_PARAMETER_AND_TOKEN

FLOPS_TO_SERVE = 2.0  # a parameter and token
ROUNDING = 1e-12  # of a logarithm, by which a cap may be passed
BISECTIONS = 64
Row = dict[str, object]


@dataclass(frozen=True)
class Terms:
    """Under what a run is planned. Numbers are FLOPs unless there are prices (cost a FLOP); tokens, parameters.

    `loss` (B,) is wanted of each law, or None where `budget` is spent. `served` are the tokens of inference.
    """

    budget: float | None = None
    loss: np.ndarray | None = None
    served: float = 0.0
    training_price: float = 1.0
    serving_price: float = 1.0
    size: float | None = None
    tokens: float | None = None
    max_size: float | None = None
    max_tokens: float | None = None

    @property
    def log_max_size(self) -> float:
        """The most ln N."""
        return float(np.log(self.max_size)) if self.max_size else MOST

    @property
    def log_max_tokens(self) -> float:
        """The most ln D."""
        return float(np.log(self.max_tokens)) if self.max_tokens else MOST

    def cost(self, log_size: np.ndarray, log_tokens: np.ndarray) -> np.ndarray:
        """What runs cost over their life."""
        train = self.training_price * FLOPS_PER_PARAMETER_AND_TOKEN * np.exp(log_size + log_tokens)
        return train + self.serving_price * self.serving(log_size)

    def serving(self, log_size: np.ndarray) -> np.ndarray:
        """The FLOPs of inference."""
        return FLOPS_TO_SERVE * self.served * np.exp(log_size) if self.served else np.zeros_like(log_size)

    def affordable(self, log_size: np.ndarray) -> np.ndarray:
        """The ln D that the budget leaves for models of ln N; NaN where serving alone costs more."""
        assert self.budget is not None
        left = self.budget - self.serving_price * self.serving(log_size)
        spent = self.training_price * FLOPS_PER_PARAMETER_AND_TOKEN * np.exp(log_size)
        with np.errstate(all="ignore"):
            return np.log(np.where(left > 0, left, np.nan) / spent)


def decide(laws: Laws, terms: Terms) -> tuple[np.ndarray, np.ndarray]:
    """The ln N and ln D (B,) of the best run under the terms; NaN or infinite where there is none."""
    if terms.size is not None:
        size = laws.everywhere(np.log(terms.size))
        return size, tokens_at(laws, terms, size)
    if terms.tokens is not None:
        return size_at(laws, terms, np.log(terms.tokens)), laws.everywhere(np.log(terms.tokens))

    def objective(size: np.ndarray) -> np.ndarray:
        tokens = tokens_at(laws, terms, size)
        return laws.loss(size, tokens) if terms.loss is None else terms.cost(size, tokens)

    low, high = laws.everywhere(0.0), laws.everywhere(terms.log_max_size)
    if terms.loss is None:
        high = np.minimum(high, np.log(most_parameters(terms)))
    if terms.max_tokens:  # with fewer parameters not all of the budget is spent, or the loss is not reached
        low = size_at(laws, replace(terms, max_size=None), np.log(terms.max_tokens))
        low = np.minimum(low, high) if terms.loss is None else np.where(low <= high, low, np.nan)
    size = lowest(objective, low, high, ends=(bool(terms.max_tokens), bool(terms.max_size)))
    tokens = tokens_at(laws, terms, size)
    if terms.loss is None:
        return size, tokens
    with np.errstate(all="ignore"):  # a law that never comes down to the loss asks for an infinite run
        never = ~(laws.loss(laws.everywhere(MOST), laws.everywhere(MOST)) <= terms.loss)
    return np.where(never, np.inf, size), np.where(never, np.inf, tokens)


def most_parameters(terms: Terms) -> float:
    """The N above which not one token can be paid for."""
    assert terms.budget is not None
    served = terms.serving_price * FLOPS_TO_SERVE * terms.served
    return terms.budget / (served + terms.training_price * FLOPS_PER_PARAMETER_AND_TOKEN)


def tokens_at(laws: Laws, terms: Terms, size: np.ndarray) -> np.ndarray:
    """The ln D (B,) for models of ln N: what the budget leaves, or what the loss asks for; infinite above the cap."""
    if terms.loss is None:
        return np.minimum(terms.affordable(size), terms.log_max_tokens)
    tokens = laws.tokens_for(terms.loss, size)
    return np.where(tokens <= terms.log_max_tokens + ROUNDING, tokens, np.inf)


def size_at(laws: Laws, terms: Terms, log_tokens: float) -> np.ndarray:
    """The ln N (B,) that goes with ln D tokens: what the budget pays for, or what the loss asks for; infinite above the
    cap."""
    if terms.loss is not None:
        size = laws.size_for(terms.loss, laws.everywhere(log_tokens))
        return np.where(size <= terms.log_max_size + ROUNDING, size, np.inf)
    assert terms.budget is not None
    each = terms.training_price * FLOPS_PER_PARAMETER_AND_TOKEN * np.exp(log_tokens)
    size = np.log(terms.budget / (each + terms.serving_price * FLOPS_TO_SERVE * terms.served))
    return laws.everywhere(min(size, terms.log_max_size))


def plan(evidence: Evidence, terms: Terms) -> dict[str, object]:
    """The best run with its intervals, what being wrong costs, and the run that training alone would choose.

    Raises:
        InputError: no run meets the terms.
    """
    laws = laws_of(evidence)
    size, tokens = decide(laws, terms)
    if not (np.isfinite(size[0]) and np.isfinite(tokens[0])):
        raise InputError(
            "no run meets these terms under this law",
            where="vlmkit fit-scaling plan",
            fix="a higher loss or error, a larger budget, wider caps; a law with a term below zero has no optimum",
        )
    chosen = row_of(evidence, terms, size, tokens)
    found: dict[str, object] = {"plan": chosen, "risk": risk(evidence, laws, terms, size, tokens)}
    found["draws_without"] = unanswered(size + tokens)
    found["training_only"], found["saving"] = None, None
    if terms.served and terms.size is None and terms.tokens is None:
        found |= comparison(evidence, laws, terms, size, tokens)
    return found


def row_of(evidence: Evidence, terms: Terms, size: np.ndarray, tokens: np.ndarray) -> Row:
    """A run: N, D, D / N with the intervals of the decision, its predicted loss and error, what it costs."""
    found: Row = {}
    with np.errstate(invalid="ignore"):  # of draws that ask for an infinite run
        ratio = np.exp(tokens - size)
    for name, values, most in (
        ("N", np.exp(size), terms.max_size), ("D", np.exp(tokens), terms.max_tokens), ("M", ratio, None)
    ):  # fmt: skip
        one = capped(sample(evidence, values), most)
        found |= {name: plain(one.value), f"{name}_low": plain(one.low), f"{name}_high": plain(one.high)}
    place = Places.of(np.exp(size[:1]), np.exp(tokens[:1]))
    losses = evidence.predict(place)
    found |= {"loss": plain(losses.value[0]), "loss_low": plain(losses.low[0]), "loss_high": plain(losses.high[0])}
    if evidence.error is not None:
        errors = evidence.predict_error(place)
        found |= {"error": plain(errors.value[0])}
        found |= {"error_low": plain(errors.low[0]), "error_high": plain(errors.high[0])}
    training = FLOPS_PER_PARAMETER_AND_TOKEN * np.exp(size + tokens)
    serving = terms.serving(size)
    cost = sample(evidence, terms.cost(size, tokens))
    return found | {
        "training_flops": plain(training[0]),
        "inference_flops": plain(serving[0]),
        "cost": plain(cost.value),
        "cost_low": plain(cost.low),
        "cost_high": plain(cost.high),
    }


def capped(one: Sample, most: float | None) -> Sample:
    """An interval that keeps to a cap."""
    return one if most is None else replace(one, low=min(one.low, most), high=min(one.high, most))


def risk(evidence: Evidence, laws: Laws, terms: Terms, size: np.ndarray, tokens: np.ndarray) -> Row:
    """What being wrong costs: the best law's loss or cost at the ends of the decision's interval, and what the chosen
    size gives away if a draw is the truth (the median and the upper end over the draws). Nothing where N or D is fixed,
    for then nothing was decided."""
    what = "loss" if terms.loss is None else "cost"
    empty: Row = {"of": what, "at_N_low": None, "at_N_high": None, "regret_median": None, "regret_high": None}
    one = capped(sample(evidence, np.exp(size)), terms.max_size)
    if terms.size or terms.tokens or not (np.isfinite(one.low) and np.isfinite(one.high)):
        return empty
    best = Laws(laws.fitted, laws.solutions[:1])
    alone = terms if terms.loss is None else replace(terms, loss=terms.loss[:1])
    at_ends = []
    for end in (one.low, one.high):
        there = np.log(np.array([end]))
        fixed = tokens_at(best, alone, there)
        at_ends.append(best.loss(there, fixed)[0] if terms.loss is None else terms.cost(there, fixed)[0])
    here = laws.everywhere(size[0])
    fixed = tokens_at(laws, terms, here)
    with np.errstate(all="ignore"):
        if terms.loss is None:
            given = laws.loss(here, fixed) - laws.loss(size, tokens)
        else:
            given = terms.cost(here, fixed) / terms.cost(size, tokens) - 1
        given = given[1:][np.isfinite((size + tokens)[1:])]  # a cap may keep the chosen size from the loss: infinite
        median, high = np.percentile(given, [50, 100 * evidence.level]) if given.size else (np.nan, np.nan)
    ends = {"at_N_low": plain(at_ends[0]), "at_N_high": plain(at_ends[1])}
    return empty | ends | {"regret_median": plain(median), "regret_high": plain(high)}


def comparison(evidence: Evidence, laws: Laws, terms: Terms, size: np.ndarray, tokens: np.ndarray) -> dict[str, object]:
    """The run that is compute-optimal for training alone, at the same loss or the same whole cost."""
    training = Terms(loss=terms.loss, max_size=terms.max_size, max_tokens=terms.max_tokens)
    alone_size, alone_tokens = for_cost(laws, terms) if terms.loss is None else decide(laws, training)
    allowed = alone_size[0] <= terms.log_max_size + ROUNDING and alone_tokens[0] <= terms.log_max_tokens + ROUNDING
    if not (np.isfinite(alone_size[0]) and allowed):
        return {}
    row = row_of(evidence, terms, alone_size, alone_tokens)
    with np.errstate(all="ignore"):
        share = 1 - terms.cost(size, tokens) / terms.cost(alone_size, alone_tokens)
    saved = sample(evidence, share, log=False)
    return {
        "training_only": row,
        "saving": {
            "cost": plain(terms.cost(alone_size, alone_tokens)[0] - terms.cost(size, tokens)[0]),
            "fraction": plain(saved.value),
            "fraction_low": plain(saved.low),
            "fraction_high": plain(saved.high),
            "loss": plain(laws.loss(alone_size, alone_tokens)[0] - laws.loss(size, tokens)[0]),
        },
    }


def for_cost(laws: Laws, terms: Terms) -> tuple[np.ndarray, np.ndarray]:
    """The ln N and ln D (B,) of the compute-optimal runs whose whole cost, serving too, is the budget."""
    assert terms.budget is not None
    low = laws.everywhere(0.0)
    high = laws.everywhere(np.log(terms.budget / terms.training_price))
    for _ in range(BISECTIONS):  # on the training compute
        middle = (low + high) / 2
        size = optimum_each(laws, middle)
        over = ~(terms.cost(size, middle - np.log(FLOPS_PER_PARAMETER_AND_TOKEN) - size) < terms.budget)
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    size = optimum_each(laws, (low + high) / 2)
    return size, (low + high) / 2 - np.log(FLOPS_PER_PARAMETER_AND_TOKEN) - size


def optimum_each(laws: Laws, log_flops: np.ndarray) -> np.ndarray:
    """The compute-optimal ln N (B,), each law at its own training compute."""
    total = log_flops - np.log(FLOPS_PER_PARAMETER_AND_TOKEN)
    return lowest(lambda n: laws.loss(n, total - n), laws.everywhere(0.0), total)


def quality(laws: Laws, *, loss: float | None, size: float | None, tokens: float | None) -> np.ndarray:
    """The loss (B,) that is wanted: a number, or what each law says of a run; without tokens the run's are optimal."""
    if loss is not None:
        return laws.everywhere(loss)
    assert size is not None
    log_size = laws.everywhere(np.log(size))
    log_tokens = optimal_tokens(laws, log_size) if tokens is None else laws.everywhere(np.log(tokens))
    return laws.loss(log_size, log_tokens)


def loss_for_error(evidence: Evidence, error: float) -> np.ndarray:
    """The loss (B,) at which each downstream law, the best and every draw, says `error`; NaN where none does.

    Raises:
        InputError: there is no downstream law of the loss, or it never says so.
    """
    downstream = evidence.error
    if downstream is None or evidence.direct:
        raise InputError("this law has no downstream law of the loss", where="--error", fix="fit with --downstream")
    draws = evidence.draws[1].solutions if evidence.draws else np.zeros((0, len(downstream.solution)))
    solutions = np.concatenate([downstream.solution[None], draws])
    low, high = np.zeros(len(solutions)), np.full(len(solutions), 20.0)  # nats a token

    def say(loss: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return values_at(downstream.law, solutions, (loss - downstream.centre[0])[None, :, None])[:, 0]

    reached = (say(low) <= error) & (say(high) >= error)
    if not reached[0]:
        limits = f"{say(low)[0]:.3g} to {say(high)[0]:.3g}"
        raise InputError(f"the downstream law never says {error:g}", where="--error", fix=f"an error of {limits}")
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = say(middle) <= error
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(reached, (low + high) / 2, np.nan)
