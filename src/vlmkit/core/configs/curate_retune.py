"""The settings of `vlmkit curate retune`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.fields import Action, argument, option


@dataclass(frozen=True, kw_only=True)
class RetuneConfig(Action):
    """Say what other bounds of rules would keep, from a corpus's ledger; with --out, write that corpus.

    No page is read or measured again. Rules that look at one page alone are judged by their
    values; with --out, duplicates and poor pages are told anew among what is left, so that the
    documents are those of a run with these bounds. Mix, decontamination and tokens are left to
    `vlmkit curate`, which reads what this writes.
    """

    command: ClassVar[str] = "curate"
    action: ClassVar[str] = "retune"
    outputs: ClassVar[str] = "With --out: documents/, dropped/, ledger/, report.html."
    paper: ClassVar[str] = "DataComp-LM: In search of the next generation of training sets (Li et al. 2024)."
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit curate retune clean --set word_removal_ratio_filter=0.02",
        "vlmkit curate retune clean --set page_length_filter=100..50000 --out tuned",
    )

    ledger: Path = argument(help="Folder of a corpus, or its ledger/.", metavar="LEDGER", eats=("curated",))
    bounds: dict[str, str] = option(
        {}, name="--set", help="Bound of a rule: a number, the lower one where there are two; or LOW..HIGH, LOW.., "
        "..HIGH. Without any, the rules and bounds are listed.", metavar="RULE=VALUE",
    )  # fmt: skip

    def __post_init__(self) -> None:
        object.__setattr__(self, "makes", "curated" if self.out else None)
        super().__post_init__()
