"""Options of `vlmkit inspect`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.fields import Action, argument, option


@dataclass(frozen=True, kw_only=True)
class InspectConfig(Action):
    """Show any artifact, table, model or archive as a person would want it.

    Kind, rows, columns and sizes, where it came from, and a few rows; for files that no vlmkit command made as well.
    """

    command: ClassVar[str] = "inspect"
    examples: ClassVar[tuple[str, ...]] = ("vlmkit inspect clean", "vlmkit inspect clean/documents --rows 5")

    path: Path = argument(help="A folder or file: an artifact, a table, a model, an archive of pages.")
    rows: int = option(3, help="How many rows to show.")
