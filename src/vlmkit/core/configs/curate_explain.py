"""The settings of `vlmkit curate explain`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.fields import Action, argument
from vlmkit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ExplainConfig(Action):
    """Say what became of a page: kept, or dropped by which rule, with the value, the bound and what it repeats.

    Give the id of the page and the folder that `vlmkit curate` wrote, in any order; without a folder it is this one.
    """

    command: ClassVar[str] = "curate"
    action: ClassVar[str] = "explain"
    paper: ClassVar[str] = "DataComp-LM: In search of the next generation of training sets (Li et al. 2024)."
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit curate explain docs doc-17",
        "vlmkit curate explain docs doc-3 --json",
    )

    words: tuple[str, ...] = argument(help="The id, and the folder of the corpus.", metavar="ID [CORPUS]")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= len(self.words) <= 2:
            raise InputError(
                f"{len(self.words)} words are given", where="explain", fix="vlmkit curate explain CORPUS ID"
            )

    @property
    def corpus(self) -> Path:
        """The folder."""
        if len(self.words) == 1:
            return Path()
        return Path(self.words[0] if Path(self.words[0]).is_dir() else self.words[1])

    @property
    def id(self) -> str:
        """The id of the page."""
        return next((word for word in self.words if Path(word) != self.corpus), self.words[0])
