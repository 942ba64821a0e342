"""Parts of the work as jobs of Slurm or tasks of Ray, through datatrove's executors (Penedo et al. 2024).

Every job does the parts number rank, rank + world size and so on, each left done in the folder of parts, so that a job
that is killed goes on behind them. The folder must lie on a file system that all machines share, and paths must be
absolute. Whoever called the command takes the parts in order afterwards: the bytes are those of one process.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from datatrove.executor.ray import RayPipelineExecutor
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from vlmkit.core.curate.parts import Bench, find_done, part_folder
from vlmkit.core.curate.phases import Task, Work
from vlmkit.core.errors import CapabilityError, RunError, VlmkitError
from vlmkit.core.io.files import write_json

MOST_JOBS = 1000  # Slurm's usual limit of an array is 1001
TASKS_A_CORE = 8  # of Ray: enough that no core waits long for the last one
SUBMITTED, FAULT = "submitted.json", "fault.json"


class DoParts(PipelineStep):
    """A step of a datatrove pipeline that does the parts of its rank."""

    type, name = "vlmkit", "curate: parts"

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        """Do those parts of the rank that are not done; what goes wrong is left in the part's folder."""
        bench, work = None, self.work
        for number in range(rank, len(work.tasks), world_size):
            if find_done(work.root, number) is None:
                try:
                    bench = bench or Bench(work.settings, work.folders)
                    work.do(bench, number, work.tasks[number])
                except (VlmkitError, OSError) as error:
                    lines = vars(error) if isinstance(error, VlmkitError) else {"what": str(error), "where": ""}
                    write_json(part_folder(work.root, number) / FAULT, lines)
                    raise
        return data


class Array(SlurmPipelineExecutor):
    """A Slurm array without the options that nobody set and without a job of its own for statistics."""

    def get_sbatch_args(self, max_array: int = 1) -> dict[str, object]:
        """The directives of the job."""
        return {name: value for name, value in super().get_sbatch_args(max_array).items() if value is not None}

    def launch_merge_stats(self) -> None:
        """Nothing: the tally of the parts is ours."""


@dataclass(frozen=True)
class Cluster:
    """Where jobs run: how many at once (0: no limit) and what sbatch is told."""

    at_once: int = 0
    partition: str | None = None
    time: str = "24:00:00"
    memory_gb: int = 4
    others: dict[str, str] = field(default_factory=dict)


def check_slurm() -> None:
    """Refuse a machine from which no Slurm job can be submitted."""
    for name in ("sbatch", "squeue"):
        if shutil.which(name) is None:
            raise CapabilityError(
                f"there is no {name} here", where="--executor slurm",
                fix="run it where jobs are submitted from, or --executor local",
            )  # fmt: skip


def submit(work: Work, folder: Path, cluster: Cluster) -> str:
    """Submit an array of jobs that do the parts of a phase, with logs in a folder; its number."""
    world = min(len(work.tasks), MOST_JOBS)
    mark_completed(work.root, len(work.tasks), world, folder)
    executor = Array(
        [DoParts(absolute(work))],
        tasks=world, workers=cluster.at_once or -1, partition=cluster.partition, time=cluster.time, qos=None,
        mem_per_cpu_gb=cluster.memory_gb, job_name="vlmkit-curate", sbatch_args=dict(cluster.others),
        logging_dir=str(folder), with_srun=False, max_array_size=MOST_JOBS,
        env_command=f'export PATH="{Path(sys.executable).parent}:$PATH"',
    )  # fmt: skip
    logger.disable("datatrove")
    try:
        executor.launch_job()
    except subprocess.CalledProcessError as error:
        raise RunError(
            f"sbatch refused the job (code {error.returncode})", where=str(folder / "launch_script.slurm"),
            fix="see what it says above; --slurm-partition, --slurm-time and --slurm-args say how to ask",
        ) from error  # fmt: skip
    finally:
        logger.enable("datatrove")
    write_json(folder / SUBMITTED, {"job": str(executor.job_id)})
    return str(executor.job_id)


def at_work(folder: Path) -> str | None:
    """The number of the array of jobs that still works, or waits for its turn, by the folder of its logs."""
    sheet = folder / SUBMITTED
    if not sheet.is_file():
        return None
    check_slurm()
    job = str(json.loads(sheet.read_text(encoding="utf-8"))["job"])
    asked = subprocess.run(["squeue", "--noheader", "--jobs", job], capture_output=True, text=True, check=False)
    return job if asked.returncode == 0 and asked.stdout.strip() else None


def on_ray(work: Work, folder: Path, cluster: Cluster) -> None:
    """Do the parts of a phase as tasks of the Ray that RAY_ADDRESS names, or of one on this machine; wait for them.

    Raises:
        CapabilityError: Ray is not installed.
    """
    check_ray()
    import ray

    ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level="WARNING")
    cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
    world = min(len(work.tasks), TASKS_A_CORE * cores)
    mark_completed(work.root, len(work.tasks), world, folder)
    executor = RayPipelineExecutor(
        [DoParts(absolute(work))],
        tasks=world, workers=cluster.at_once or cores, mem_per_cpu_gb=0, logging_dir=str(folder),
        ray_remote_kwargs={"runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}},
    )  # fmt: skip
    logger.disable("datatrove")
    try:
        executor.run()
    finally:
        logger.enable("datatrove")


def check_ray() -> None:
    """Refuse a machine without Ray."""
    from importlib.util import find_spec

    if find_spec("ray") is None:
        raise CapabilityError("Ray is not installed", where="--executor ray", fix="pip install 'vlmkit[ray]'")


def mark_completed(root: Path, count: int, world: int, folder: Path) -> None:
    """Leave datatrove's mark for every rank whose parts are all done, and for no other."""
    marks = folder / "completions"
    shutil.rmtree(marks, ignore_errors=True)
    marks.mkdir(parents=True)
    for rank in range(world):
        if all(find_done(root, number) for number in range(rank, count, world)):
            (marks / f"{rank:05d}").touch()


def fault(root: Path, missing: Sequence[int], logs: Path) -> RunError:
    """Why parts are missing: what the first of them that says so says, or where the logs are."""
    for number in missing:
        sheet = part_folder(root, number) / FAULT
        if sheet.is_file():
            lines = json.loads(sheet.read_text(encoding="utf-8"))
            fix = lines.get("fix") or "mend it, then run the same command again: it resumes"
            return RunError(f"{len(missing)} parts failed: {lines['what']}", where=lines["where"] or str(logs), fix=fix)
    return RunError(
        f"{len(missing)} parts were left undone", where=str(logs),
        fix="see the logs there, then run the same command again: it resumes",
    )  # fmt: skip


def absolute(work: Work) -> Work:
    """The same work for another machine of the same file system."""
    paths: dict[str, Any] = {
        name: value.absolute() for name, value in vars(work.settings).items() if isinstance(value, Path)
    }
    settings = replace(work.settings, **{"assets": Path.cwd(), **paths})  # a recipe may name files from here
    tasks = [one if isinstance(one, Task) else tuple(map(absolute_slice, one)) for one in work.tasks]
    return replace(work, settings=settings, tasks=tasks)


def absolute_slice(piece: Any) -> Any:
    """A slice of a source by its absolute path."""
    return piece._replace(source=piece.source._replace(path=piece.source.path.absolute()))
