"""Independent parts of work on several processes of this machine.

Results come in the order in which they are finished, with their number, so that whoever needs an order makes it. A
process that dies ends the work with an error; when this process dies, the others stop at once, in the middle of a
part, so that they cannot get in the way of a run that goes on.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from vlmkit.core.errors import RunError, VlmkitError

S = TypeVar("S")  # what a process sets up once
P = TypeVar("P")  # a part of the work
R = TypeVar("R")  # its result


def run_parts(
    work: Callable[[S, int, P], R], setup: Callable[[], S], parts: Sequence[tuple[int, P]], *, workers: int
) -> Iterator[tuple[int, R]]:
    """Call `work(setup(), number, part)` for each numbered part; `setup` is called once in each process.

    With one worker, or one part, everything happens in this process; 0 workers are one a core. Functions and parts must
    be picklable.
    """
    workers = workers or cores()
    if workers <= 1 or len(parts) <= 1:
        state = setup() if parts else None
        for number, part in parts:
            yield number, work(state, number, part)  # type: ignore[arg-type]
        return
    pool = _Pool(work, setup, min(workers, len(parts)))
    try:
        yield from pool.run(parts)
    finally:
        pool.stop()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Pool(Generic[S, P, R]):
    def __init__(self, work: Callable[[S, int, P], R], setup: Callable[[], S], size: int) -> None:
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        self.processes: dict[Connection, BaseProcess] = dict(_start(context, work, setup) for _ in range(size))

    def run(self, parts: Sequence[tuple[int, P]]) -> Iterator[tuple[int, R]]:
        """Hand out parts to whoever is free and yield what comes back."""
        waiting = list(reversed(parts))
        busy: list[Connection] = []
        for pipe in self.processes:
            pipe.send(waiting.pop())
            busy.append(pipe)
        while busy:
            ready = wait(busy)
            for pipe in [one for one in busy if one in ready]:
                number, result = self._receive(pipe)
                busy.remove(pipe)
                if waiting:
                    pipe.send(waiting.pop())
                    busy.append(pipe)
                yield number, result

    def _receive(self, pipe: Connection) -> tuple[int, R]:
        try:
            number, result = pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            process = self.processes[pipe]
            process.join(5)
            raise RunError(
                f"a worker process ended with code {process.exitcode}",
                where=f"process {process.pid}",
                fix="run the same command again: it resumes; with fewer --workers when memory was short",
            ) from error
        if isinstance(result, VlmkitError | OSError):
            raise result
        return number, result

    def stop(self) -> None:
        """End all processes, whatever they do."""
        for pipe, process in self.processes.items():
            pipe.close()
            process.terminate()
        for process in self.processes.values():
            process.join()


def _start(
    context: BaseContext, work: Callable[[S, int, P], R], setup: Callable[[], S]
) -> tuple[Connection, BaseProcess]:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work, setup), daemon=True)  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    return ours, process


def _serve(pipe: Connection, work: Callable[[S, int, P], R], setup: Callable[[], S]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the main process, which stops this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    state: S | None = None
    while True:
        try:
            number, part = pipe.recv()
        except EOFError:
            return
        result: R | VlmkitError | OSError
        try:
            state = setup() if state is None else state
            result = work(state, number, part)
        except (VlmkitError, OSError) as error:
            result = error
        try:
            pipe.send((number, result))
        except BrokenPipeError:
            return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
