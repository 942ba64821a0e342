"""Scaling laws: read runs, fit, compare the targets with their truth, predict, save."""

from dataclasses import replace

from vlmkit.core.configs.fit_scaling import FitScalingConfig, sizes
from vlmkit.core.io.files import write_json, write_text
from vlmkit.core.io.job import Result, open_job
from vlmkit.core.io.runs import read_runs
from vlmkit.core.io.tables import write_table
from vlmkit.core.scaling.cautions import ranges
from vlmkit.core.scaling.figure import svg
from vlmkit.core.scaling.fitting import to_json
from vlmkit.core.scaling.narrative import tell
from vlmkit.core.scaling.points import rename
from vlmkit.core.scaling.study import Roles, arrange, findings, fit_laws, picture, table

DELTA = 1e-3  # Besiroglu et al. 2024


def run(config: FitScalingConfig) -> Result:
    """Fit a law and say what it predicts."""
    job = open_job(config)
    if job.stored:
        return replace(job.stored, shown=tell(job.stored.values))
    roles = Roles(config.where, config.fit_where, config.target, config.downstream, config.downstream_fit_where)
    columns = rename(read_runs(config.tables), config.map or {})
    study = arrange(columns, roles, law=config.law, loss=config.loss_column)
    loss, space = config.method
    if config.dry_run:
        counts = {"runs": len(study.runs.names), "fitted": int(study.fitted.sum()), "targets": int(study.targets.sum())}
        return Result({"plan": {"law": config.law, "loss": loss, "space": space, "loss_column": study.loss, **counts}})
    fits = fit_laws(study, law=config.law, loss=loss, delta=config.delta or DELTA, space=space)
    level = config.interval
    values = findings(study, fits, level=level, asked=sizes(config.predict))
    job.begin()
    stored = {
        "fit": to_json(fits.loss),
        "downstream_fit": None if fits.error is None else to_json(fits.error),
        "ranges": ranges(study.runs[study.fitted]),
        "loss_column": study.loss,
    }
    write_json(job.folder / "law.json", values | stored)
    write_table(job.folder / "predictions.parquet", table(study, fits, level=level), kind="predictions")
    write_text(job.folder / "fit.svg", svg(picture(study, fits, level=level)))
    size = 10 * study.runs[study.fitted].size.max()
    larger = f"{size:.2g},{20 * size:.2g}"
    done = job.finish(values, logs=("fit.svg",), next=f"vlmkit fit-scaling predict {config.out} --predict {larger}")
    return replace(done, shown=tell(values))
