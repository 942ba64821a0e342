"""A corpus by other bounds, from its ledger."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlmkit.core.configs.curate_retune import RetuneConfig
from vlmkit.core.curate.assemble import write_corpus
from vlmkit.core.curate.columns import Column
from vlmkit.core.curate.ledger import FOLDER, READ, Sheet
from vlmkit.core.curate.parts import Bench, Done, find_done, leave_done
from vlmkit.core.curate.recipe import COMPARING
from vlmkit.core.curate.retune import (
    ALONE,
    COMPARED,
    LATE,
    Fates,
    Source,
    alone,
    bounds_of,
    changes,
    corpus_of,
    count,
    ends,
    rejudged,
    survey,
    with_bounds,
)  # fmt: skip
from vlmkit.core.curate.verdicts import judge, lengths_of
from vlmkit.core.curate.work import Settings, Tally
from vlmkit.core.io.job import Job, Result, open_job
from vlmkit.core.io.progress import log, progress
from vlmkit.core.io.tables import parts, read_tables
from vlmkit.core.io.web import Reading
from vlmkit.core.recipes.curate_report import with_funnel, write_page


def run(config: RetuneConfig) -> Result:
    """Retune a corpus."""
    corpus = corpus_of(config.ledger, config.out)
    old = Sheet.read(corpus / FOLDER)
    new = replace(old, columns=with_bounds(old.columns, config.bounds))
    job = open_job(config)
    if job.stored:
        return with_funnel(job.stored)
    if not config.bounds and config.out is None:
        return listed(old.columns)
    if config.out is None or config.dry_run:
        return told(survey(corpus, old, new))
    return write(job, corpus, old, new, bounds=config.bounds)


def listed(columns: Sequence[Column]) -> Result:
    """The rules that can be set, with their bounds."""
    rows = [{"rule": one.name, "stage": one.stage, **ends(one)} for one in columns if one.tunable]
    return Result({"rules": rows})


def told(values: dict[str, Any]) -> Result:
    """What new bounds keep, as people read it."""
    sums = {key: values[key] for key in ("documents", "documents_before", "gained", "lost", "unknown")}
    now, then = values["rules"], values["rules_before"]
    names = sorted({*now, *then}, key=lambda name: (-now.get(name, 0), name))
    rules = [{"rule": name, "dropped": now.get(name, 0), "before": then.get(name, 0)} for name in names]
    shown: dict[str, object] = {**sums, "set": values["set"], "stages": values["stages"], "dropped by rules": rules}
    if values["estimated"]:
        shown["note"] = "from the stage dedup on these are estimates: with --out it is gone through again"
    return Result(values, shown=shown)


def write(job: Job, corpus: Path, old: Sheet, new: Sheet, *, bounds: Collection[str]) -> Result:
    """Write the corpus that new bounds keep."""
    left = [stage for stage in LATE if stage in old.stages]
    if left:
        log.warning("not done again: %s; these are the documents that are left before it", ", ".join(left))
    if any(column.rule == COMPARING for column in old.columns):
        log.warning("%s of the recipe is not done again: pages that it dropped stay dropped", COMPARING)
    if "bloom" in old.dedup:
        log.warning("paragraphs that the Bloom filter took out of documents stay out of them")
    job.begin()
    stages = tuple(stage for stage in old.stages if stage not in LATE)
    settings = Settings((), "default", (), 0.0, None, Reading(), dedup=old.dedup, recipe=())
    tally, unknown = Tally(), 0
    done: list[Done] = []
    for part, fates in retuned(Bench(settings, [job.state / "parts"]), corpus, old, new):
        done.append(part)
        unknown += int(fates.unknown.sum())
        count(fates.after, alone(new), [stage for stage in stages if stage in ALONE], tally)
    tally.chars[[stage for stage in ("read", *stages) if stage in ALONE][-1]] = sum(
        int(part.array("chars").sum()) for part in done
    )
    quality = next((one for one in new.columns if one.stage == "quality"), None)
    bound = quality is not None and quality.name in bounds  # one that was set comes before a share
    keep = None if bound else new.quality_keep
    found, values = judge(done, bounds_of(new, keep), dedup=new.dedup, quality=quality is not None, state=job.state)
    found.count(tally, [stage for stage in COMPARED if stage in stages], lengths_of(done, found))
    columns = [column for column in alone(new) if column.stage not in READ]
    columns += found.columns(stages, new.dedup, quality.name if quality else "")
    sheet = replace(new, columns=columns, stages=stages, quality_keep=keep)
    documents, dropped = write_corpus(done, found, folder=job.folder, sheet=sheet)
    values = {"documents": documents, "dropped": dropped, "tokens": None, **tally.funnel(stages), **values}
    values |= {"unknown": unknown, "set": changes(old, new)}
    page = write_page(job, replace(settings, stages=stages), values)
    then = f"vlmkit curate {job.folder} --stages {','.join(left)}" if left else f"vlmkit pretrain {job.folder}"
    return with_funnel(job.finish(values, logs=[page], next=f"{then} --out {'corpus' if left else 'lm'}"))


def retuned(bench: Bench, corpus: Path, old: Sheet, new: Sheet) -> Iterator[tuple[Done, Fates]]:
    """The parts of a corpus by new bounds, each left on the disk, where a killed run may have left it before."""
    source, files, root = Source(corpus), parts(corpus / FOLDER), bench.folders[0]
    for number, path in enumerate(files):
        table = read_tables(path)
        fates = Fates.of(table, alone(old), alone(new))
        part = find_done(root, number)
        if part is None:
            leave_done(bench, number, 0, rejudged(table, fates, new, source), Tally())
            part = find_done(root, number)
            assert part is not None
        else:
            source.take(table["id"].to_pylist())
        yield part, fates
        progress("retune", number + 1, len(files), "parts")
