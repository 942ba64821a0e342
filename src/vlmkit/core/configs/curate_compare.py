"""The settings of `vlmkit curate compare`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.fields import Action, argument
from vlmkit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class CurateCompareConfig(Action):
    """Compare corpora: what each stage and rule leaves, and the documents that one keeps and another drops.

    Give the folders that `vlmkit curate` wrote from the same input, since documents are compared by their ids.
    """

    command: ClassVar[str] = "curate"
    action: ClassVar[str] = "compare"
    outputs: ClassVar[str] = "With --out: report.html."
    paper: ClassVar[str] = "DataComp-LM: In search of the next generation of training sets (Li et al. 2024)."
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit curate compare clean docs",
        "vlmkit curate compare clean docs --out compared",
    )

    corpora: tuple[Path, ...] = argument(help="Folders of corpora, two or more.", metavar="CORPUS", eats=("curated",))

    def __post_init__(self) -> None:
        object.__setattr__(self, "makes", "comparison" if self.out else None)
        super().__post_init__()
        if len({path.resolve() for path in self.corpora}) < len(self.corpora):
            raise InputError("a corpus is given twice", where="CORPUS", fix="name different folders")
        if len(self.corpora) < 2:
            raise InputError(
                "one corpus has nothing to be compared with", where="CORPUS", fix="vlmkit curate compare CORPUS CORPUS"
            )
