"""Predictions of a law that was fitted before."""

from dataclasses import replace

from vlmkit.core.configs.fit_scaling import FitScalingPredictConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.job import Result, open_job
from vlmkit.core.recipes.fit_scaling_law import places, read_law
from vlmkit.core.recipes.fit_scaling_table import deliver
from vlmkit.core.scaling.account import parameters, prediction_rows
from vlmkit.core.scaling.cautions import extrapolation, of_range
from vlmkit.core.scaling.laws import with_numbers
from vlmkit.core.scaling.narrative import fitted, outlook


def run(config: FitScalingPredictConfig) -> Result:
    """Predict the loss, and the downstream error where the law has one, for the asked sizes."""
    job = open_job(config)
    if job.stored:
        return replace(job.stored, shown=show(job.stored.values))
    stored = read_law(config.law, level=config.interval)
    law, asked = stored.evidence.loss, places(config.predict)
    for name, numbers in (("N", asked.size), ("D", asked.tokens)):
        if name in law.law.over and not (numbers > 0).all():
            raise InputError(f"'{law.law.name}' needs {name}", where="--predict", fix="--predict N,D")
    rows = prediction_rows(stored.evidence, asked)
    decades = extrapolation(stored.ranges, asked)
    values: dict[str, object] = {
        "law": law.law.name,
        "formula": with_numbers(law.law, parameters(law)),
        "n": law.n,
        "dof": law.dof,
        "extrapolation": decades,
        "warnings": [*stored.cautions, *of_range(decades)],
        "predictions": rows,
    }
    return deliver(job, config, values, rows, show(values))


def show(values: dict[str, object]) -> dict[str, object]:
    """The predictions as a person reads them."""
    return {"law": values["formula"], "fitted to": fitted(values), **outlook(values)}
