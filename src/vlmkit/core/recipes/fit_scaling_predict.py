"""Predictions of a law that was fitted before."""

import json
from dataclasses import replace
from pathlib import Path

from vlmkit.core.configs.fit_scaling import FitScalingPredictConfig, sizes
from vlmkit.core.errors import InputError
from vlmkit.core.io.artifacts import find
from vlmkit.core.io.job import Result, open_job
from vlmkit.core.io.tables import write_table
from vlmkit.core.scaling.account import parameters
from vlmkit.core.scaling.cautions import Ranges, extrapolation, of_freedom, of_range
from vlmkit.core.scaling.fitting import from_json
from vlmkit.core.scaling.laws import with_numbers
from vlmkit.core.scaling.narrative import fitted, outlook
from vlmkit.core.scaling.points import no_points
from vlmkit.core.scaling.study import Fits, foretell, joined


def run(config: FitScalingPredictConfig) -> Result:
    """Predict the loss, and the downstream error where the law has one, for the asked sizes."""
    job = open_job(config)
    if job.stored:
        return replace(job.stored, shown=show(job.stored.values))
    fits, ranges = load(find(config.law, "law") / "law.json")
    asked = sizes(config.predict)
    rows = foretell(fits, asked, level=config.interval)
    decades = extrapolation(ranges, joined(no_points(), asked))
    values: dict[str, object] = {
        "law": fits.loss.law.name,
        "formula": with_numbers(fits.loss.law, parameters(fits.loss)),
        "n": fits.loss.n,
        "dof": fits.loss.dof,
        "extrapolation": decades,
        "warnings": [*of_freedom(fits.loss, level=config.interval), *of_range(decades)],
        "predictions": rows,
    }
    if config.out is None or config.dry_run:
        return Result(values, shown=show(values))
    job.begin()
    write_table(job.folder / "predictions.parquet", rows, kind="predictions")
    return replace(job.finish(values), shown=show(values))


def show(values: dict[str, object]) -> dict[str, object]:
    """The predictions as a person reads them."""
    return {"law": values["formula"], "fitted to": fitted(values), **outlook(values)}


def load(path: Path) -> tuple[Fits, Ranges]:
    """The fits of a law.json, and the ranges of the runs that they were fitted to.

    Raises:
        InputError: the file is not what `vlmkit fit-scaling` wrote.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        error = stored["downstream_fit"]
        fits = Fits(from_json(stored["fit"]), None if error is None else from_json(error))
        return fits, {name: (float(low), float(high)) for name, (low, high) in stored["ranges"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise InputError(
            f"not a law: {fault}", where=str(path), fix="fit it again with `vlmkit fit-scaling`"
        ) from fault
