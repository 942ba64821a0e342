"""What `vlmkit fit-scaling` takes."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from vlmkit.core.configs.fields import INPUTS, Action, argument, option
from vlmkit.core.errors import InputError

PAPER = (
    "Language models scale reliably with over-training and on downstream tasks (Gadre et al., 2024); "
    "Chinchilla Scaling: A replication attempt (Besiroglu et al., 2024)"
)
Loss = Literal["lsq", "huber", "lad"]
Space = Literal["raw", "log"]
DEFAULTS: dict[str, tuple[Loss, Space]] = {
    "gadre": ("lsq", "raw"),
    "chinchilla": ("huber", "log"),
    "chinchilla-tied": ("lsq", "raw"),
}
PREDICT = "Predict a model of N parameters trained on D tokens: --predict 7e9,140e9; repeats."
INTERVAL = "Level of all intervals."


def sizes(words: tuple[str, ...]) -> tuple[tuple[float, float], ...]:
    """N and D of each `--predict N,D`."""
    found = []
    for word in words:
        try:
            size, tokens = (float(part.replace("_", "")) for part in word.split(","))
        except ValueError:
            raise InputError(
                f"'{word}' is not N,D", where="--predict", fix="two numbers: --predict 7e9,140e9"
            ) from None
        if not (0 < size < math.inf and 0 < tokens < math.inf):
            raise InputError(f"'{word}' is not positive", where="--predict", fix="parameters and tokens above 0")
        found.append((size, tokens))
    return tuple(found)


def check_interval(level: float) -> None:
    """Refuse a level that is no probability."""
    if not 0 < level < 1:
        raise InputError(f"--interval is {level:g}", where="--interval", fix="a number between 0 and 1, such as 0.95")


@dataclass(frozen=True, kw_only=True)
class FitScalingConfig(Action):
    """Fit a scaling law to runs and predict larger ones, honestly.

    Tables are csv, parquet, json, jsonl, or what `pretrain` and `eval` wrote; several are joined, scores by the run's
    name. Needed are N (parameters), D (tokens) or M = D / N, and a loss. Expressions compare columns: and, or, not,
    in [..], arithmetic, parentheses; == between numbers allows one part in a million.
    """

    command: ClassVar[str] = "fit-scaling"
    action: ClassVar[str] = "fit"
    makes: ClassVar[str | None] = "law"
    outputs: ClassVar[str] = "law.json (formula, parameters, intervals, certificate), predictions.parquet, fit.svg"
    paper: ClassVar[str] = PAPER
    examples: ClassVar[tuple[str, ...]] = (
        'vlmkit fit-scaling runs.csv --target "N > 1e9" --predict 7e9,140e9 --out law',
        'vlmkit fit-scaling runs.csv --where "M >= 20" --fit-where "N < 1e9" --interval 0.8 --out law',
        "vlmkit fit-scaling runs.jsonl --law chinchilla --map N=params --map D=tokens --map loss=val_loss --out law",
    )

    tables: tuple[Path, ...] = argument(
        help="Tables of runs and scores: files, or folders that pretrain and eval wrote.",
        metavar="TABLE",
        eats=("run", "runs", "scores"),
    )
    law: Literal["gadre", "chinchilla", "chinchilla-tied"] = option(
        "gadre",
        help="gadre: E + (a M^eta + b M^-eta) C^-eta; chinchilla: E + A N^-alpha + B D^-beta; tied: alpha = beta.",
    )
    loss: Loss | None = option(
        None, help="Least squares, Huber's loss or least absolute residuals; default: lsq, but huber for chinchilla."
    )
    delta: float | None = option(
        None, help="Where Huber's loss turns linear, in the units of the residuals; default 0.001."
    )
    space: Space | None = option(
        None, help="Residuals of the loss or of its logarithm; default: raw, but log for chinchilla."
    )
    loss_column: str | None = option(None, help="Column of the loss, needed when there are several.", panel=INPUTS)
    where: str | None = option(None, help="Runs to look at at all.", panel=INPUTS, metavar="EXPR")
    fit_where: str | None = option(
        None, help="Runs to fit the law to; default: all but the targets.", panel=INPUTS, metavar="EXPR"
    )
    target: str | None = option(
        None, help="Runs to predict and compare with their truth.", panel=INPUTS, metavar="EXPR"
    )
    downstream: str | None = option(
        None, help="Column of a downstream error, to be predicted through the loss.", panel=INPUTS, metavar="COLUMN"
    )
    downstream_fit_where: str | None = option(
        None, help="Runs to fit the downstream law to; default: those of the loss.", panel=INPUTS, metavar="EXPR"
    )
    map: dict[str, str] | None = option(
        None, help="Read a column under another name: --map N=params; repeats.", panel=INPUTS, metavar="NAME=COLUMN"
    )
    predict: tuple[str, ...] = option((), help=PREDICT, metavar="N,D", repeat=True)
    interval: float = option(0.95, help=INTERVAL)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_interval(self.interval)
        sizes(self.predict)
        if not self.tables:
            raise InputError("no table is given", where="vlmkit fit-scaling", fix="name a table of runs")
        if self.delta is not None and self.method[0] != "huber":
            raise InputError("--delta belongs to Huber's loss", where="--delta", fix="add --loss huber")
        if self.delta is not None and not self.delta > 0:
            raise InputError(f"--delta is {self.delta:g}", where="--delta", fix="a positive number")
        if self.downstream_fit_where and not self.downstream:
            raise InputError(
                "--downstream-fit-where has nothing to fit",
                where="--downstream-fit-where",
                fix="add --downstream COLUMN",
            )

    @property
    def method(self) -> tuple[Loss, Space]:
        """Loss and space of the fit, the law's defaults filled in."""
        loss, space = DEFAULTS[self.law]
        return self.loss or loss, self.space or space


@dataclass(frozen=True, kw_only=True)
class FitScalingPredictConfig(Action):
    """Predict the loss of models of given sizes from a law that was fitted before."""

    command: ClassVar[str] = "fit-scaling"
    action: ClassVar[str] = "predict"
    outputs: ClassVar[str] = "With --out: predictions.parquet."
    paper: ClassVar[str] = PAPER
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit fit-scaling predict law --predict 7e9,140e9",
        "vlmkit fit-scaling predict law --predict 1e9,2e10 --predict 1e9,6.4e11 --interval 0.8 --json",
    )

    law: Path = argument(help="Folder that `vlmkit fit-scaling` wrote.", eats=("law",))
    predict: tuple[str, ...] = option((), help=PREDICT, metavar="N,D", repeat=True)
    interval: float = option(0.95, help=INTERVAL)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "makes", "predictions" if self.out else None
        )  # an artifact only where one is asked for
        super().__post_init__()
        check_interval(self.interval)
        if not sizes(self.predict):
            raise InputError("nothing to predict", where="--predict", fix="--predict N,D")
