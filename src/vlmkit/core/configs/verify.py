"""Options of `vlmkit verify`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.fields import Action, argument


@dataclass(frozen=True, kw_only=True)
class VerifyConfig(Action):
    """Re-check the digests of an artifact, up its chain of inputs.

    Exit 1 names the files that differ from what was written, in this artifact or in one that it was made from; an input
    that no longer lies where it was is listed as absent, which is no fault. Exit 2 where there is no manifest.
    """

    command: ClassVar[str] = "verify"
    examples: ClassVar[tuple[str, ...]] = ("vlmkit verify clean", "vlmkit verify lm --json")

    folder: Path = argument(help="Folder of an artifact.", metavar="DIR")
