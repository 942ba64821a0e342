"""The parts of a curation: on processes of this machine, as jobs of Slurm or as tasks of Ray."""

import hashlib
import json
import time
from functools import partial
from pathlib import Path

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate.parts import DONE, Bench, Done, find_done, part_folder, work_on
from vlmkit.core.curate.work import Settings
from vlmkit.core.errors import InputError
from vlmkit.core.io.files import write_json
from vlmkit.core.io.job import Job, Result
from vlmkit.core.io.progress import progress
from vlmkit.core.io.sources import Part
from vlmkit.core.io.workers import run_parts

POLL_S = (1, 15)  # between two looks at the jobs: the first ones, and later ones


def do_parts(config: CurateConfig, settings: Settings, parts: list[Part], job: Job) -> list[Done] | Result:
    """Begin the job and do the parts that are not done yet; all of them in order, or what to report while jobs work.

    Raises:
        InputError: jobs that were submitted before still work on these parts, and this is not the command to wait.
        RunError: jobs ended without doing their parts.
    """
    root = job.state.absolute() / "parts"
    before = jobs_at_work(config, job) if missing(parts, root) else None
    if before and not config.wait:
        return submitted(before, parts, root)
    if not before:
        job.begin()
    check_plan(parts, job.state / "plan.json")
    left = [number for number in range(len(parts)) if find_done(root, number) is None]
    if left and config.executor == "local":
        here(settings, [(number, parts[number]) for number in left], root, config.workers, total=len(parts))
    elif left:
        report = elsewhere(config, settings, parts, root, before)
        if report:
            return report
    if before:
        job.begin()
    done = [find_done(root, number) for number in range(len(parts))]
    left = [number for number, one in enumerate(done) if one is None]
    if left:
        from vlmkit.core.curate.jobs import fault

        raise fault(root, left, job.state / config.executor)
    return [one for one in done if one is not None]


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
            "files have other sizes than when this run began", where=str(sheet.parent.parent),
            fix="--overwrite to begin again",
        )  # fmt: skip


def here(settings: Settings, left: list[tuple[int, Part]], root: Path, workers: int, *, total: int) -> None:
    """Do parts on processes of this machine."""
    pages = 0
    results = run_parts(work_on, partial(Bench, settings, root), left, workers=workers)
    for count, (_, tally) in enumerate(results, total - len(left) + 1):
        pages += tally.kept["read"] + tally.dropped["read"]
        progress("curate", count, total, "parts", pages=pages)


def elsewhere(
    config: CurateConfig, settings: Settings, parts: list[Part], root: Path, before: str | None
) -> Result | None:
    """Do parts by Ray, or by jobs of Slurm: those submitted before, or new ones; what to report if they still work."""
    from vlmkit.core.curate.jobs import Cluster, at_work, on_ray, submit

    cluster = Cluster(
        config.workers, config.slurm_partition, config.slurm_time, config.slurm_mem, config.slurm_args
    )  # fmt: skip
    if config.executor == "ray":
        on_ray(settings, parts, root, cluster)
        return None
    number = before or submit(settings, parts, root, cluster)
    if not config.wait:
        return submitted(number, parts, root)
    pause = POLL_S[0]
    while missing(parts, root) and at_work(root.parent):
        progress("curate", len(parts) - missing(parts, root), len(parts), "parts")
        time.sleep(pause)
        pause = min(2 * pause, POLL_S[1])
    return None


def jobs_at_work(config: CurateConfig, job: Job) -> str | None:
    """The jobs that still work on the parts of this very command; refused to whoever is not to wait for them."""
    if not (job.state / "slurm").is_dir():
        return None
    from vlmkit.core.curate.jobs import at_work

    number = at_work(job.state)
    if number and (config.executor != "slurm" or config.overwrite):
        raise InputError(
            f"job {number} of Slurm still works here", where=str(job.folder),
            fix=f"--executor slurm to look after it, or scancel {number}",
        )  # fmt: skip
    return number


def submitted(number: str, parts: list[Part], root: Path) -> Result:
    """What there is to say while jobs work."""
    left = missing(parts, root)
    values: dict[str, object] = {"documents": None, "dropped": None, "tokens": None, "stages": [], "rules": {}}
    jobs = {"job": number, "parts": len(parts), "missing": left}
    what = f"{left} of {len(parts)} parts are missing; the same command again goes on when none is"
    return Result(values | {"jobs": jobs}, shown={"job": number, "parts": what}, next=f"squeue --jobs {number}")


def missing(parts: list[Part], root: Path) -> int:
    """How many parts are not done."""
    return sum(not (part_folder(root, number) / DONE).is_file() for number in range(len(parts)))
