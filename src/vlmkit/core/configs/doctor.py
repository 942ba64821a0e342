"""Options of `vlmkit doctor`."""

from dataclasses import dataclass
from typing import ClassVar

from vlmkit.core.configs.fields import Action


@dataclass(frozen=True, kw_only=True)
class DoctorConfig(Action):
    """Say what works on this machine, and how to mend what does not.

    Exit 0 when vlmkit is usable (a missing GPU or compiler is a note, no fault), 1 when a check fails.
    """

    command: ClassVar[str] = "doctor"
    examples: ClassVar[tuple[str, ...]] = ("vlmkit doctor", "vlmkit doctor --json")
