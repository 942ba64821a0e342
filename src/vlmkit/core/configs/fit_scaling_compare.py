"""What `vlmkit fit-scaling compare` and `tasks` take."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.core.configs.fields import INPUTS, METHOD, option
from vlmkit.core.configs.fit_scaling import DEFAULTS, PAPER, LawName, Loss, Reading, Space
from vlmkit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class FitScalingCompareConfig(Reading):
    """Compare laws on the same runs: AICc, leave-one-out errors, predictions of the next size."""

    command: ClassVar[str] = "fit-scaling"
    action: ClassVar[str] = "compare"
    outputs: ClassVar[str] = "With --out: part-00000.parquet, a row a law."
    paper: ClassVar[str] = PAPER
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit fit-scaling compare runs.csv",
        "vlmkit fit-scaling compare runs.csv --law gadre,chinchilla --loss huber --space log --json",
    )

    law: tuple[LawName, ...] = option(  # type: ignore[assignment]
        ("gadre", "chinchilla", "kaplan", "power"), help="Laws to compare."
    )
    loss: Loss | None = option(None, help="How residuals are counted, the same for all laws; default: lsq.")
    space: Space | None = option(None, help="Residuals of the loss or of its logarithm; default: log.")
    fit_where: str | None = option(None, help="Runs to fit the laws to; default: all.", panel=INPUTS, metavar="EXPR")

    def __post_init__(self) -> None:
        object.__setattr__(self, "makes", "comparison" if self.out else None)
        super().__post_init__()
        if len(set(self.law)) < 2:
            raise InputError("one law has nothing to be compared with", where="--law", fix="name two or more")
        if self.delta is not None and self.loss != "huber":
            raise InputError("--delta belongs to Huber's loss", where="--delta", fix="add --loss huber")


@dataclass(frozen=True, kw_only=True)
class FitScalingTasksConfig(Reading):
    """Pick the tasks that can be predicted: those on which some small model is clearly better than chance.

    Needed are columns err_<task> and each task's chance accuracy. With --target, each task's error is also predicted
    through the loss, and compared with its truth.
    """

    command: ClassVar[str] = "fit-scaling"
    action: ClassVar[str] = "tasks"
    outputs: ClassVar[str] = "With --out: part-00000.parquet, a row a task."
    paper: ClassVar[str] = PAPER
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit fit-scaling tasks simulated --baselines simulated/tasks.csv --at 'N > 1.5e8 and N < 1.6e8'",
        "vlmkit fit-scaling tasks simulated --baselines simulated/tasks.csv --where \"dataset == 'web'\" "
        "--target 'N > 1e9'",
    )

    baselines: Path | None = option(
        None, help="Table of `task` and its chance accuracy (`baseline`, `chance` or `random_accuracy`); default: the "
        "scores among the tables.", panel=INPUTS,
    )  # fmt: skip
    at: str | None = option(
        None, help="Models that may show it; default: all but the targets.", panel=INPUTS, metavar="EXPR"
    )
    margin: float = option(0.10, help="How much better than chance, as a fraction.", panel=METHOD)
    fit_where: str | None = option(
        None, help="Runs to fit the loss law to; default: all but the targets.", panel=INPUTS, metavar="EXPR"
    )
    downstream_fit_where: str | None = option(
        None, help="Runs to fit the downstream laws to; default: those of the loss.", panel=INPUTS, metavar="EXPR"
    )
    target: str | None = option(None, help="Runs whose task errors to predict.", panel=INPUTS, metavar="EXPR")

    def __post_init__(self) -> None:
        object.__setattr__(self, "makes", "tasks" if self.out else None)
        super().__post_init__()
        if not 0 <= self.margin < 1:
            raise InputError(f"--margin is {self.margin:g}", where="--margin", fix="a fraction, such as 0.1")

    @property
    def method(self) -> tuple[Loss, Space]:
        """Loss and space of the loss law's fit, its defaults filled in."""
        loss, space = DEFAULTS.get(self.law, ("lsq", "raw"))
        return self.loss or loss, self.space or space
