"""Scaling laws: read runs, fit, judge, compare the targets with their truth, predict, save."""

from dataclasses import replace

import numpy as np

from vlmkit.core.configs.fit_scaling import DELTA, FitScalingConfig
from vlmkit.core.io.files import write_bytes, write_json, write_text
from vlmkit.core.io.job import Result, open_job
from vlmkit.core.io.runs import read_runs
from vlmkit.core.io.tables import write_table
from vlmkit.core.recipes.fit_scaling_law import places
from vlmkit.core.scaling import bootstrap
from vlmkit.core.scaling.cautions import ranges
from vlmkit.core.scaling.diagnostics import diagnose
from vlmkit.core.scaling.evidence import Evidence
from vlmkit.core.scaling.figure import images
from vlmkit.core.scaling.fitting import to_json
from vlmkit.core.scaling.influence import influence
from vlmkit.core.scaling.laws import law_of
from vlmkit.core.scaling.narrative import explain, tell
from vlmkit.core.scaling.page import page
from vlmkit.core.scaling.points import rename
from vlmkit.core.scaling.study import Method, Roles, arrange, findings, fit_laws, gather, judge, picture, table

LOGS = ("fit.svg", "fit.png", "report.html")


def run(config: FitScalingConfig) -> Result:
    """Fit a law and say what it predicts."""
    job = open_job(config)
    if job.stored:
        return replace(job.stored, shown=tell(job.stored.values, words=config.explain))
    law, error_law = law_of(config.law, config.variable), law_of(config.downstream_law)
    roles = Roles(
        config.where, config.fit_where, config.target, config.downstream, config.downstream_fit_where, config.cluster
    )
    columns = rename(read_runs(config.tables), config.map or {})
    study = arrange(columns, roles, law=law, loss=config.loss_column, error_law=error_law)
    loss, space = config.method
    if config.dry_run:
        counts = {"runs": len(study.runs.names), "fitted": int(study.fitted.sum()), "targets": int(study.targets.sum())}
        return Result({"plan": {"law": config.law, "loss": loss, "space": space, "loss_column": study.loss, **counts}})
    fits = fit_laws(study, law=law, error_law=error_law, method=Method(loss, config.delta or DELTA, space))
    evidence = gather(
        study, fits, how=config.how, draws=config.bootstrap, kind=config.bootstrap_kind, seed=config.seed,
        level=config.interval,
    )  # fmt: skip
    weight, asked = influence(evidence.loss), places(config.predict)
    notes = judge(study, evidence, weight)
    values = findings(study, evidence, weight, asked=asked, notes=notes) | {"diagnostics": diagnose(evidence.loss)}
    values["explanation"] = explain(values)
    job.begin()
    stored = {
        "fit": to_json(evidence.loss),
        "downstream_fit": None if evidence.error is None else to_json(evidence.error),
        "draws": [draws_json(one) for one in evidence.draws],
        "ranges": ranges(study.runs[study.fitted]),
        "loss_column": study.loss,
        "cautions": notes,
        "names": study.runs[study.fitted].names,
    }
    write_json(job.folder / "law.json", values | stored)
    rows, told = table(study, evidence), {"loss_column": study.loss, "level": evidence.level}
    write_table(job.folder / "predictions.parquet", rows, kind="predictions")
    write_table(job.folder / "draws.parquet", draw_rows(evidence), kind="draws")
    drawn = picture(study, evidence, weight)
    image, pixels = images(drawn)
    write_text(job.folder / "fit.svg", image)
    write_bytes(job.folder / "fit.png", pixels)
    write_text(job.folder / "report.html", page(values | told, rows, image))
    done = job.finish(values, logs=LOGS, next=follow_up(config, study.runs[study.fitted].size))
    return replace(done, shown=tell(values, words=config.explain))


def draws_json(draws: bootstrap.Draws) -> dict[str, object]:
    """What is known of draws besides the draws themselves."""
    return {"kind": draws.kind, "on_bound": draws.on_bound, "worst_gap": draws.worst_gap}


def draw_rows(evidence: Evidence) -> list[dict[str, object]]:
    """A row a draw: the parameters of both laws by name, and their solutions as the fits have them."""
    columns: dict[str, np.ndarray] = {}
    fits = [one for one in (evidence.loss, evidence.error) if one is not None]
    for number, (fitted, draws) in enumerate(zip(fits, evidence.draws, strict=True)):
        prefix = "downstream_" if number else ""
        columns |= {f"{prefix}{name}": value for name, value in bootstrap.named(fitted, draws).items()}
        columns |= {f"fit{number}_{at}": draws.solutions[:, at] for at in range(len(fitted.solution))}
    count = min(len(values) for values in columns.values())
    return [{"draw": at, **{name: float(values[at]) for name, values in columns.items()}} for at in range(count)]


def follow_up(config: FitScalingConfig, size: np.ndarray) -> str:
    """The command that a user is likely to want next."""
    if config.law == "power":
        return f"vlmkit inspect {config.out}"
    larger = 10 * size.max()
    return f"vlmkit fit-scaling predict {config.out} --predict {larger:.2g},{20 * larger:.2g}"
