"""The parts of a curation: on processes of this machine, as jobs of Slurm or as tasks of Ray."""

import hashlib
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate.parts import DONE, Bench, Done, part_folder
from vlmkit.core.curate.phases import Task, Work, last_done, phase_folders, tasks_after
from vlmkit.core.curate.work import Worker
from vlmkit.core.errors import InputError
from vlmkit.core.io.files import write_json
from vlmkit.core.io.job import Job, Result
from vlmkit.core.io.progress import progress
from vlmkit.core.io.sources import Part
from vlmkit.core.io.workers import run_parts

POLL_S = (1, 15)  # between two looks at the jobs: the first ones, and later ones


def do_parts(config: CurateConfig, worker: Worker, parts: list[Part], job: Job) -> list[Done] | Result:
    """Begin the job and do the parts that are not done yet, one phase of the recipe after the other; all of them in
    order, or what to report while jobs work.

    Raises:
        InputError: jobs that were submitted before still work on these parts, and this is not the command to wait.
        RunError: jobs ended without doing their parts.
    """
    folders = phase_folders(worker, job.state.absolute())
    before = jobs_at_work(config, job) if missing(range(len(parts)), folders[-1]) else None
    if before and not config.wait:
        return submitted(before, len(parts), next((one for one in folders[::-1] if one.is_dir()), folders[0]))
    if not before:
        job.begin()
    check_plan(parts, job.state / "plan.json")
    phase, done = last_done(folders, len(parts))
    while phase + 1 < len(folders):
        tasks: Sequence[Part | Task] = tasks_after(worker, done, phase) if done else parts
        phase += 1
        work = Work(worker.settings, folders, phase, tasks)
        report = do_phase(config, work, job.state.absolute() / config.executor, before)
        if report:
            return report
        if before:
            job.begin()
            before = None
        phase, done = last_done(folders, len(parts))
    return done


def do_phase(config: CurateConfig, work: Work, logs: Path, before: str | None) -> Result | None:
    """Do the parts of a phase that are not done yet; what to report if jobs still work on them."""
    left = work.left()
    if left and config.executor == "local":
        here(work, left, config.workers)
    elif left:
        report = elsewhere(config, work, logs, before)
        if report:
            return report
        if lost := missing(left, work.root):
            from vlmkit.core.curate.jobs import fault

            raise fault(work.root, lost, logs)
    return None


def check_executor(config: CurateConfig) -> None:
    """Refuse an executor that is not here."""
    if config.executor != "local":
        from vlmkit.core.curate.jobs import check_ray, check_slurm

        {"slurm": check_slurm, "ray": check_ray}[config.executor]()


def check_plan(parts: list[Part], sheet: Path) -> None:
    """Refuse to go on with parts that are cut otherwise than those of the run before.

    Raises:
        InputError: files behind addresses have changed since.
    """
    cuts = [[[piece.source.name, piece.source.size, piece.start, piece.stop] for piece in part] for part in parts]
    found = hashlib.sha256(json.dumps(cuts).encode()).hexdigest()
    if not sheet.is_file():
        write_json(sheet, found)
    elif json.loads(sheet.read_text(encoding="utf-8")) != found:
        raise InputError(
            "files have other sizes than when this run began", where=str(sheet.parent.parent), fix="remove that folder"
        )


def here(work: Work, left: Sequence[int], workers: int) -> None:
    """Do parts on processes of this machine."""
    pages, tasks = 0, [(number, work.tasks[number]) for number in left]
    results = run_parts(work.do, partial(Bench, work.settings, work.folders), tasks, workers=workers)
    for count, (_, tally) in enumerate(results, len(work.tasks) - len(left) + 1):
        pages += tally.kept["read"] + tally.dropped["read"]
        progress("curate", count, len(work.tasks), "parts", pages=pages)


def elsewhere(config: CurateConfig, work: Work, logs: Path, before: str | None) -> Result | None:
    """Do parts by Ray, or by jobs of Slurm: those submitted before, or new ones; what to report if they still work."""
    from vlmkit.core.curate.jobs import Cluster, at_work, on_ray, submit

    cluster = Cluster(config.workers, config.slurm_partition, config.slurm_time, config.slurm_mem, config.slurm_args)
    if config.executor == "ray":
        on_ray(work, logs, cluster)
        return None
    count = len(work.tasks)
    number = before or submit(work, logs, cluster)
    if not config.wait:
        return submitted(number, count, work.root)
    pause = POLL_S[0]
    while (lost := missing(range(count), work.root)) and at_work(logs):
        progress("curate", count - len(lost), count, "parts")
        time.sleep(pause)
        pause = min(2 * pause, POLL_S[1])
    return None


def jobs_at_work(config: CurateConfig, job: Job) -> str | None:
    """The jobs that still work on the parts of this very command; refused to whoever is not to wait for them."""
    if not (job.state / "slurm").is_dir():
        return None
    from vlmkit.core.curate.jobs import at_work

    number = at_work(job.state / "slurm")
    if number and (config.executor != "slurm" or config.overwrite):
        raise InputError(
            f"job {number} of Slurm still works here", where=str(job.folder),
            fix=f"--executor slurm to look after it, or scancel {number}",
        )  # fmt: skip
    return number


def submitted(number: str, count: int, root: Path) -> Result:
    """What there is to say while jobs work on so many parts."""
    left = len(missing(range(count), root))
    values: dict[str, object] = {"documents": None, "dropped": None, "tokens": None, "stages": [], "rules": {}}
    jobs = {"job": number, "parts": count, "missing": left}
    what = f"{left} of {count} parts are missing; the same command again goes on when none is"
    return Result(values | {"jobs": jobs}, shown={"job": number, "parts": what}, next=f"squeue --jobs {number}")


def missing(parts: Sequence[int], root: Path) -> list[int]:
    """Those of some parts that are not done."""
    return [number for number in parts if not (part_folder(root, number) / DONE).is_file()]
