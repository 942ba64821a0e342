"""The account of a fit: parameters with intervals, targets beside their truth, predictions, checks, as rows."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from vlmkit.core.scaling.checks import Check
from vlmkit.core.scaling.evidence import Evidence, Places
from vlmkit.core.scaling.fitting import Fit, certificate_json
from vlmkit.core.scaling.influence import Influence
from vlmkit.core.scaling.laws import with_numbers
from vlmkit.core.scaling.points import Points
from vlmkit.core.scaling.wald import Prediction

Row = dict[str, object]
SHOWN = 10  # points with the largest influence that are told, besides the outliers


def summary(fitted: Fit, evidence: Evidence) -> dict[str, object]:
    """What is known of a fit: its formula with numbers, parameters, intervals, certificate."""
    params = parameters(fitted)
    derived = {name: none_if_odd(value) for name, value in fitted.values.items() if name not in params}
    bounds = evidence.intervals(fitted)
    return {
        "formula": with_numbers(fitted.law, params),
        "params": params,
        "derived": derived,
        "intervals": {name: pair(bounds[name]) for name in (*params, *derived)},
        "objective": fitted.objective,
        "rss": fitted.rss,
        "dof": fitted.dof,
        "n": fitted.n,
        "certificate": certificate_json(fitted.certificate),
    }


def parameters(fitted: Fit) -> dict[str, float | None]:
    """The law's own parameters, by name."""
    return {name: none_if_odd(fitted.values[name]) for name in fitted.law.parameters}


def pair(ends: tuple[float, float] | None) -> list[float | None] | None:
    """An interval; an open end is None."""
    return None if ends is None else [none_if_odd(one) for one in ends]


def bootstrap_json(evidence: Evidence) -> Row:
    """What the bootstrap did: its kind and draws, how many ended on a bound, how far above its optimum any lay."""
    if not evidence.draws:
        return {"kind": None, "draws": 0, "on_bound": 0, "worst_gap": None}
    first = evidence.draws[0]
    return {
        "kind": first.kind,
        "draws": first.count,
        "on_bound": first.on_bound,
        "worst_gap": none_if_odd(first.worst_gap),
    }


def target_rows(targets: Points, predicted: Prediction) -> list[Row]:
    """A row a target: what it is, its truth, what the law says, whether the truth lies in the interval."""
    return [
        {
            "name": targets.names[row],
            "N": none_if_odd(float(targets.size[row])),
            "D": none_if_odd(float(targets.tokens[row])),
            "M": none_if_odd(float(targets.multiplier[row])),
            **compared(float(targets.value[row]), predicted, row),
        }
        for row in range(len(targets.names))
    ]


def compared(true: float, predicted: Prediction, row: int) -> Row:
    """Truth and prediction, with the signed relative error as a fraction."""
    value, low, high = (none_if_odd(float(one[row])) for one in (predicted.value, predicted.low, predicted.high))
    known = None if math.isnan(true) else true
    return {
        "true": known,
        "predicted": value,
        "low": low,
        "high": high,
        "relative_error": None if known is None or value is None else (value - known) / known,
        "inside": inside(known, float(predicted.low[row]), float(predicted.high[row])),
    }


def inside(true: float | None, low: float, high: float) -> bool | None:
    """Whether a truth lies in its interval, whose ends may be open; None where there is no truth or no interval."""
    return None if true is None or math.isnan(low) or math.isnan(high) else low <= true <= high


def with_downstream(rows: Sequence[Row], true: np.ndarray, predicted: Prediction) -> list[Row]:
    """Rows with the downstream error beside the loss."""
    keys = {
        "true": "downstream_true", "predicted": "downstream_predicted", "low": "downstream_low",
        "high": "downstream_high", "relative_error": "downstream_relative_error", "inside": "downstream_inside",
    }  # fmt: skip
    return [
        {**row, **{keys[key]: value for key, value in compared(float(true[at]), predicted, at).items()}}
        for at, row in enumerate(rows)
    ]


def prediction_rows(evidence: Evidence, asked: Places) -> list[Row]:
    """A row for each asked place."""
    if not asked.size.size:
        return []
    predicted = evidence.predict(asked)
    chained = None if evidence.error is None else evidence.predict_error(asked)
    rows: list[Row] = []
    for at in range(asked.size.size):
        row: Row = {
            "N": none_if_odd(float(asked.size[at])),
            "D": none_if_odd(float(asked.tokens[at])),
            "C": float(asked.flops[at]),
            **ends(predicted, at),
        }
        if chained is not None:
            row |= {f"downstream_{key}": value for key, value in ends(chained, at).items()}
        rows.append(row)
    return rows


def table_rows(runs: Points, role: Sequence[str], predicted: Prediction) -> list[Row]:
    """A row for each run of the table: its role (fit, target or other), its truth, what the law says."""
    return [
        {
            "name": runs.names[at],
            "role": role[at],
            "N": none_if_odd(float(runs.size[at])),
            "D": none_if_odd(float(runs.tokens[at])),
            "C": none_if_odd(float(runs.flops[at])),
            "true": none_if_odd(float(runs.value[at])),
            **ends(predicted, at),
        }
        for at in range(len(runs.names))
    ]


def influence_rows(known: Points, weight: Influence) -> list[Row]:
    """A row for each outlier and for the points of the largest influence: how far the fit moves without it."""
    largest, which = weight.largest
    order = np.lexsort((-np.nan_to_num(largest, nan=-1.0), ~weight.outlier))
    names = list(weight.shifts)
    return [
        {
            "name": known.names[at],
            "N": none_if_odd(float(known.size[at])),
            "D": none_if_odd(float(known.tokens[at])),
            "deviation": float(weight.deviation[at]),
            "outlier": bool(weight.outlier[at]),
            "shift": none_if_odd(float(largest[at])),
            "parameter": names[which[at]],
        }
        for at in order[: int(weight.outlier.sum()) + SHOWN]
    ]


def check_rows(over_size: Sequence[Check], each_size: Sequence[Check]) -> dict[str, list[Row]]:
    """The checks by name."""
    return {"rollout": [asdict(one) for one in over_size], "leave_one_size_out": [asdict(one) for one in each_size]}


def ends(predicted: Prediction, at: int) -> Row:
    """One prediction with its interval."""
    return {
        "predicted": none_if_odd(float(predicted.value[at])),
        "low": none_if_odd(float(predicted.low[at])),
        "high": none_if_odd(float(predicted.high[at])),
    }


def none_if_odd(value: float) -> float | None:
    """A number, or None where it is not finite."""
    return float(value) if math.isfinite(value) else None
