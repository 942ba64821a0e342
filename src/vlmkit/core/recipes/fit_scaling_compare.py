"""Laws fitted to the same runs, beside one another."""

from dataclasses import replace

from vlmkit.core.configs.fit_scaling import DELTA
from vlmkit.core.configs.fit_scaling_compare import FitScalingCompareConfig
from vlmkit.core.io.job import Result, open_job
from vlmkit.core.io.runs import read_runs
from vlmkit.core.recipes.fit_scaling_table import deliver
from vlmkit.core.scaling.compare import compare
from vlmkit.core.scaling.laws import law_of
from vlmkit.core.scaling.narrative import verdict
from vlmkit.core.scaling.points import rename
from vlmkit.core.scaling.study import Method, Roles, arrange, fit_laws


def run(config: FitScalingCompareConfig) -> Result:
    """Fit every law to the same runs and compare."""
    job = open_job(config)
    if job.stored:
        return replace(job.stored, shown=verdict(job.stored.values))
    columns = rename(read_runs(config.tables), config.map or {})
    method = Method(config.loss or "lsq", config.delta or DELTA, config.space or "log")
    fits, column = [], ""
    for name in dict.fromkeys(config.law):
        law = law_of(name, config.variable)
        study = arrange(columns, Roles(config.where, config.fit_where), law=law, loss=config.loss_column)
        fits.append(fit_laws(study, law=law, error_law=law, method=method)[0])
        column = study.loss
    rows = compare(fits, level=config.interval)
    best = None if rows[0]["loo_rms"] is None else rows[0]["law"]  # no law has a degree of freedom
    values: dict[str, object] = {"laws": rows, "best": best, "n": fits[0].n, "loss_column": column}
    values |= {"loss": method.loss, "space": method.space}
    return deliver(job, config, values, rows, verdict(values))
