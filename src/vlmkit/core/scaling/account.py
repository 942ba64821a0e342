"""The account of a fit: parameters with intervals, targets beside their truth, predictions, as rows and numbers."""

import math
from collections.abc import Sequence

import numpy as np

from vlmkit.core.scaling.fitting import Fit, Prediction, certificate_json, intervals
from vlmkit.core.scaling.laws import split, with_numbers
from vlmkit.core.scaling.points import Points

Row = dict[str, object]


def summary(fitted: Fit, *, level: float) -> dict[str, object]:
    """What is known of a fit: its formula with numbers, parameters, intervals, certificate."""
    params, derived = split(fitted.law, fitted.values)
    bounds = intervals(fitted, level=level)
    return {
        "formula": with_numbers(fitted.law, params),
        "params": parameters(fitted),
        "derived": {name: none_if_odd(value) for name, value in derived.items()},
        "intervals": {name: bounds[name] for name in (*params, *derived)},
        "objective": fitted.objective,
        "rss": fitted.rss,
        "dof": fitted.dof,
        "n": fitted.n,
        "certificate": certificate_json(fitted.certificate),
    }


def parameters(fitted: Fit) -> dict[str, float | None]:
    """The law's own parameters, by name."""
    return {name: none_if_odd(value) for name, value in split(fitted.law, fitted.values)[0].items()}


def target_rows(targets: Points, predicted: Prediction) -> list[Row]:
    """A row a target: what it is, its truth, what the law says, whether the truth lies in the interval."""
    return [
        {
            "name": targets.names[row],
            "N": float(targets.size[row]),
            "D": float(targets.tokens[row]),
            "M": float(targets.multiplier[row]),
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
        "inside": None if known is None or low is None or high is None else low <= known <= high,
    }


def with_downstream(rows: Sequence[Row], true: np.ndarray, predicted: Prediction) -> list[Row]:
    """Target rows with the downstream error beside the loss."""
    keys = {
        "true": "downstream_true", "predicted": "downstream_predicted", "low": "downstream_low",
        "high": "downstream_high", "relative_error": "downstream_relative_error", "inside": "downstream_inside",
    }  # fmt: skip
    return [
        {**row, **{keys[key]: value for key, value in compared(float(true[at]), predicted, at).items()}}
        for at, row in enumerate(rows)
    ]


def prediction_rows(
    asked: Sequence[tuple[float, float]], predicted: Prediction, chained: Prediction | None
) -> list[Row]:
    """A row for each asked N and D."""
    rows: list[Row] = []
    for at, (size, tokens) in enumerate(asked):
        row: Row = {"N": size, "D": tokens, **ends(predicted, at)}
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
            "N": float(runs.size[at]),
            "D": float(runs.tokens[at]),
            "C": float(runs.flops[at]),
            "true": none_if_odd(float(runs.value[at])),
            **ends(predicted, at),
        }
        for at in range(len(runs.names))
    ]


def ends(predicted: Prediction, at: int) -> Row:
    """One prediction with its interval."""
    return {
        "predicted": none_if_odd(float(predicted.value[at])),
        "low": none_if_odd(float(predicted.low[at])),
        "high": none_if_odd(float(predicted.high[at])),
    }


def none_if_odd(value: float) -> float | None:
    """A number, or None where it is not finite."""
    return value if math.isfinite(value) else None
