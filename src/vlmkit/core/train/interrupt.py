"""Ctrl-C and SIGTERM wait for the end of a step, so that what is saved on the way out is a whole state.

A second signal is not held back.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Held:
    """A context within which the first SIGINT or SIGTERM is kept, and delivered when the context ends."""

    def __init__(self) -> None:
        self._pending: int | None = None
        self._previous: dict[int, Handler] = {}
        self._active = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._active:
            self._previous = {number: signal.signal(number, self._keep) for number in SIGNALS}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self._pending is not None:
            number, self._pending = self._pending, None
            signal.raise_signal(number)

    def _keep(self, number: int, _frame: FrameType | None) -> None:
        if self._pending is None:
            self._pending = number
            return
        self._restore()
        signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._previous = {}
