"""The errors a user may meet: each says what is wrong, where, and what to do.

They are raised at the door, before the first expensive step; the command line prints them as three lines, or as one
JSON object, and leaves with their exit code.
"""

import difflib
from collections.abc import Iterable


class VlmkitError(Exception):
    """A fault with an exit code and three lines: `what` is wrong, `where` it is, how to `fix` it."""

    code = 1
    kind = "failed"

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        return "; ".join(part for part in (self.what, self.where, self.fix) if part)


class InputError(VlmkitError):
    """The user's words or files are wrong (exit 2)."""

    code = 2
    kind = "input"


class CapabilityError(VlmkitError):
    """This machine lacks something: a package, a compiler, a GPU, disk space, a peer (exit 3)."""

    code = 3
    kind = "capability"


class RunError(VlmkitError):
    """The run itself failed, although its input was right (exit 1)."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A suggestion such as "did you mean 'text'?", or the list of what is known when nothing is near."""
    known = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"one of: {shown}" if known else ""
