"""Aggregates from per-task scores: read, compute CORE and EXTENDED, save if asked to."""

from vlmkit.core.configs.eval import AggregateConfig
from vlmkit.core.evaluate.aggregate import model_report, score_rows
from vlmkit.core.evaluate.present import for_people
from vlmkit.core.evaluate.published import read_scores
from vlmkit.core.io.job import Result, open_job
from vlmkit.core.io.tables import TableWriter


def run(config: AggregateConfig) -> Result:
    """Aggregate every model of the files, in order."""
    job = open_job(config)
    if job.stored:
        return for_people(job.stored)
    reports = [model_report(name, scores) for path in config.files for name, scores in read_scores(path)]
    values: dict[str, object] = {"models": reports}
    if config.out is None or config.dry_run:
        return for_people(Result(values))
    job.begin()
    with TableWriter(job.folder, kind="scores") as table:
        for report in reports:
            table.add(score_rows(report))
    return for_people(job.finish(values, next=f"vlmkit inspect {config.out}"))
