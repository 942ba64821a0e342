"""A fit as a person reads it: the formula with its numbers, parameters with intervals, predictions beside the truth."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, object]
Values = Mapping[str, Any]  # the JSON that `study.findings` makes


def tell(values: Values) -> dict[str, object]:
    """The report of a fit."""
    shown: dict[str, object] = {"law": values["formula"], "fitted to": fitted(values), "certificate": certified(values)}
    along = values.get("downstream")
    if along:
        shown |= {"downstream": along["formula"], "downstream fitted to": fitted(along)}
    shown["parameters"] = [*parameters(values), *(parameters(along) if along else [])]
    return shown | outlook(values)


def outlook(values: Values) -> dict[str, object]:
    """The part of a report that predictions alone have too: targets, predictions, warnings."""
    shown: dict[str, object] = {}
    if values.get("targets"):
        shown["targets"] = [compared(row, "") for row in values["targets"]]
        if "downstream_predicted" in values["targets"][0]:
            shown["targets downstream"] = [compared(row, "downstream_") for row in values["targets"]]
    if values["predictions"]:
        shown["predictions"] = values["predictions"]
    if values["warnings"]:
        shown["warnings"] = [
            {"warning": f"{number}. {text}"} for number, text in enumerate(values["warnings"], start=1)
        ]
    return shown


def fitted(values: Values) -> str:
    """How many runs, and how many of them are left to judge the error."""
    dof = values["dof"]
    return f"{values['n']} runs ({dof} degree{'s' * (dof != 1)} of freedom)"


def certified(values: Values) -> str:
    """What the scan says about the optimum."""
    found = values["certificate"]
    minima = "the only minimum" if found["local_minima"] == 1 else f"the best of {found['local_minima']} minima"
    return f"{minima} on a scan of {found['scan_points']:,} exponents"


def parameters(values: Values) -> list[Row]:
    """A row for each parameter and derived value, with its interval."""
    rows: list[Row] = []
    for name, value in {**values["params"], **values["derived"]}.items():
        if not isinstance(value, Mapping):
            low, high = values["intervals"][name] or (None, None)
            rows.append({"": name, "value": value, "low": low, "high": high})
    return rows


def compared(row: Values, prefix: str) -> Row:
    """A target beside its truth."""
    keys: Sequence[str] = ("true", "predicted", "low", "high")
    error = row[f"{prefix}relative_error"]
    return {
        "name": row["name"],
        **{key: row[f"{prefix}{key}"] for key in keys},
        "error": None if error is None else f"{100 * error:+.4f} %",
        "inside": {True: "inside", False: "OUTSIDE", None: None}[row[f"{prefix}inside"]],
    }
