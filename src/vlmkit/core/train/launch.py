"""Starting several processes on this machine for `--nproc N`, and waiting for them.

The first process's log records and result come back to the caller; when one process is lost, the others are ended and
the loss is reported, never waited for.
"""

import ctypes
import logging
import logging.handlers
import multiprocessing
import pickle
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from pathlib import Path
from types import FrameType
from typing import TypeVar

import torch

from vlmkit.core import errors
from vlmkit.core.errors import CapabilityError, RunError, VlmkitError
from vlmkit.core.io.progress import log
from vlmkit.core.train.parallel import Kind, Ranks, joined, lost

T = TypeVar("T")
R = TypeVar("R")
Words = tuple[str, str, str, str]  # an error's class, what, where, fix
ERRORS = {one.__name__: one for one in (errors.InputError, CapabilityError, RunError, VlmkitError)}
GRACE_S = 20.0  # for the others to notice a lost peer, or to save on the way out
DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


def launch(work: Callable[[T, Ranks], R], task: T, *, nproc: int, kind: Kind, device: str) -> R:
    """Run `work(task, ranks)` in `nproc` new processes and return the first one's result.

    Raises:
        CapabilityError: a process was lost.
        VlmkitError: what one of them raised.
    """
    context = multiprocessing.get_context("spawn")
    records: Queue = context.Queue()
    listener = logging.handlers.QueueListener(records, Relay())
    threads = max(1, torch.get_num_threads() // nproc)
    with tempfile.TemporaryDirectory(prefix="vlmkit-") as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        pipes = [context.Pipe(duplex=False) for _ in range(nproc)]
        shared = (work, task, nproc, kind, device, meeting, threads, log.getEffectiveLevel(), records)
        processes = [context.Process(target=enter, args=(rank, *shared, pipes[rank][1])) for rank in range(nproc)]
        listener.start()
        try:
            for process, (_, writer) in zip(processes, pipes, strict=True):
                process.start()
                writer.close()
            results, raised = attend(processes, [reader for reader, _ in pipes])
        finally:
            end(processes)
            listener.stop()
    if 0 not in results or raised or any(process.exitcode for process in processes):
        raise fault(raised, [process.exitcode or 0 for process in processes])
    return results[0]  # type: ignore[return-value]


def enter(
    rank: int, work: Callable[[T, Ranks], R], task: T, world: int, kind: Kind, device: str, meeting: str, threads: int,
    level: int, records: "Queue", pipe: Connection,
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
            pipe.send_bytes(pickle.dumps((result if rank == 0 else None, None)))
    except VlmkitError as error:
        pipe.send_bytes(pickle.dumps((None, (type(error).__name__, error.what, error.where, error.fix))))
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


def attend(processes: list[SpawnProcess], readers: list[Connection]) -> tuple[dict[int, object], list[Words]]:
    """Wait until all processes have ended, or one has failed and the others have had time to notice.

    Returns the results by rank, and the errors in the order in which they came.
    """
    results: dict[int, object] = {}
    raised: list[Words] = []
    open_ends, deadline = dict(zip(readers, range(len(readers)), strict=True)), float("inf")
    while time.monotonic() < deadline:
        running = [process.sentinel for process in processes if process.exitcode is None]
        if not running and not open_ends:
            break
        for ready in wait([*open_ends, *running], timeout=1.0):
            if isinstance(ready, Connection):
                rank = open_ends.pop(ready)
                try:
                    value, error = pickle.loads(ready.recv_bytes())
                except EOFError:  # ended without a word
                    continue
                results |= {rank: value} if error is None else {}
                raised += [error] if error is not None else []
        if deadline == float("inf") and (raised or any(process.exitcode for process in processes)):
            deadline = time.monotonic() + GRACE_S
    return results, raised


def end(processes: list[SpawnProcess]) -> None:
    """End what still runs: first in order, then by force."""
    started = [process for process in processes if process.pid is not None]
    for process in started:
        if process.exitcode is None:
            process.terminate()
    deadline = time.monotonic() + GRACE_S
    for process in started:
        process.join(max(0.1, deadline - time.monotonic()))
        if process.exitcode is None:
            process.kill()
            process.join()


def fault(raised: list[Words], codes: list[int]) -> VlmkitError:
    """The error that stands for all: a fault of one process rather than the loss that the others noticed."""
    made = [ERRORS[name](what, where=where, fix=fix) for name, what, where, fix in raised]
    made.sort(key=lambda error: isinstance(error, CapabilityError))
    if made:
        return made[0]
    killed = [f"process {rank} was ended by signal {-code}" for rank, code in enumerate(codes) if code < 0]
    if killed:
        return lost("; ".join(killed))
    return RunError(f"a process failed (exit codes {codes})", where="--nproc", fix="its traceback stands above")
