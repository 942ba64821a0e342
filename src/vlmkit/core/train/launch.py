"""Starting several processes on this machine for `--nproc N`, and waiting for them.

The first process's log records and result come back to the caller; when one process is lost, the others are ended and
the loss is reported, never waited for.
"""

import ctypes
import logging
import logging.handlers
import multiprocessing
import multiprocessing.connection
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue, SimpleQueue
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, cast

import torch

from vlmkit.core import errors
from vlmkit.core.errors import RunError, VlmkitError
from vlmkit.core.io.progress import log
from vlmkit.core.train.parallel import Kind, Ranks, joined, lost

T = TypeVar("T")
R = TypeVar("R")
GRACE_S = 20.0  # for the others to notice a lost peer, or to save on the way out
DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


def launch(work: Callable[[T, Ranks], R], task: T, *, nproc: int, kind: Kind, device: str) -> R:
    """Run `work(task, ranks)` in `nproc` new processes and return the first one's result.

    Raises:
        CapabilityError: a process was lost.
        VlmkitError: what one of them raised.
    """
    context = multiprocessing.get_context("spawn")
    results: SimpleQueue = context.SimpleQueue()
    records: Queue = context.Queue()
    listener = logging.handlers.QueueListener(records, Relay())
    threads = max(1, torch.get_num_threads() // nproc)
    with tempfile.TemporaryDirectory(prefix="vlmkit-") as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        arguments = (work, task, nproc, kind, device, meeting, threads, log.getEffectiveLevel(), results, records)
        processes = [context.Process(target=enter, args=(rank, *arguments)) for rank in range(nproc)]
        listener.start()
        try:
            for process in processes:
                process.start()
            attend(processes)
        finally:
            end(processes)
            listener.stop()
        return cast(R, outcome(results, processes))


def enter(
    rank: int, work: Callable[[T, Ranks], R], task: T, world: int, kind: Kind, device: str, meeting: str, threads: int,
    level: int, results: "SimpleQueue", records: "Queue",
) -> None:  # fmt: skip
    """The life of one started process."""
    if sys.platform == "linux":  # no orphans: whoever kills the parent wants the run to end
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGTERM, leave)
    torch.set_num_threads(threads)
    log.handlers, log.propagate = [logging.handlers.QueueHandler(records)], False
    log.setLevel(level if rank == 0 else logging.ERROR)
    try:
        with joined(kind, device, rank=rank, world=world, meeting=meeting) as ranks:
            result = work(task, ranks)
        if rank == 0:
            results.put(("result", result))
    except VlmkitError as error:
        results.put(("error", (type(error).__name__, error.what, error.where, error.fix)))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


class Relay(logging.Handler):
    """Hands a started process's records to the handlers of this one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        log.handle(record)


def leave(number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a process in order: what runs is unwound, and may save."""
    raise SystemExit(128 + number)


def attend(processes: list[SpawnProcess]) -> None:
    """Wait until all processes have ended, or one has failed and the others have had time to notice."""
    deadline = float("inf")
    while (running := [p for p in processes if p.exitcode is None]) and time.monotonic() < deadline:
        multiprocessing.connection.wait([p.sentinel for p in running], timeout=1.0)
        if deadline == float("inf") and any(p.exitcode for p in processes):
            deadline = time.monotonic() + GRACE_S


def end(processes: list[SpawnProcess]) -> None:
    """End what still runs: first in order, then by force."""
    started = [p for p in processes if p.pid is not None]
    for process in started:
        if process.exitcode is None:
            process.terminate()
    deadline = time.monotonic() + GRACE_S
    for process in started:
        process.join(max(0.1, deadline - time.monotonic()))
        if process.exitcode is None:
            process.kill()
            process.join()


def outcome(results: "SimpleQueue[tuple[str, Any]]", processes: list[SpawnProcess]) -> object:
    """The first process's result, or the error that stands for all."""
    found = []
    while not results.empty():
        found.append(results.get())
    raised = [ERRORS[name](what, where=where, fix=fix) for kind, (name, what, where, fix) in found if kind == "error"]
    raised.sort(key=lambda error: isinstance(error, errors.CapabilityError))  # losses follow from faults
    if raised:
        raise raised[0]
    codes = [process.exitcode or 0 for process in processes]
    killed = [f"process {rank} was ended by signal {-code}" for rank, code in enumerate(codes) if code < 0]
    if killed:
        raise lost("; ".join(killed))
    if any(codes):
        raise RunError(f"a process failed (exit codes {codes})", where="--nproc", fix="its traceback stands above")
    return next(value for kind, value in found if kind == "result")


ERRORS = {one.__name__: one for one in (errors.InputError, errors.CapabilityError, errors.RunError, VlmkitError)}
