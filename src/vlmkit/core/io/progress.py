"""How long work tells how far it is: through the standard logging module, so that the core prints nothing.

The command line attaches a handler that draws a bar on a terminal and a line now and then elsewhere; a user of the
library sees ordinary log records, or nothing.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

log = logging.getLogger("vlmkit")


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of a task (total is None when unknown), with further values to show (loss, rate …)."""

    task: str
    done: float
    total: float | None = None
    unit: str = ""
    values: dict[str, float] = field(default_factory=dict)


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is told, as of work on a sample."""
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def progress(task: str, done: float, total: float | None = None, unit: str = "", **values: float) -> None:
    """Report that `done` of `total` units of `task` are finished; cheap enough to call at every step."""
    if log.isEnabledFor(logging.INFO):
        log.info(
            "%s: %g of %s %s", task, done, total, unit, extra={"progress": Progress(task, done, total, unit, values)}
        )
