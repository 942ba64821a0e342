"""What `vlmkit fit-scaling` takes to fit a law and to predict from it."""

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
LawName = Literal["gadre", "chinchilla", "chinchilla-tied", "power", "kaplan"]
DownstreamName = Literal["exponential", "sigmoid", "log-accuracy"]
Loss = Literal["lsq", "huber", "lad"]
Space = Literal["raw", "log"]
How = Literal["wald", "profile", "bootstrap"]
Kind = Literal["auto", "pairs", "residual", "wild", "cluster"]
DEFAULTS: dict[str, tuple[Loss, Space]] = {"chinchilla": ("huber", "log")}  # the others: least squares, raw
DELTA = 1e-3  # Besiroglu et al. 2024
PREDICT = "Predict a model of N parameters on D tokens: --predict 7e9,140e9. A power law of C takes C: --predict 1e24."
INTERVAL = "Level of all intervals."
TABLES = "Tables of runs and scores: files, or folders that pretrain and eval wrote."
LAW = "Folder that `vlmkit fit-scaling` wrote, a law.json, or a published law such as hoffmann2022."


def sizes(words: tuple[str, ...]) -> tuple[tuple[float, float, float], ...]:
    """N, D and C of each `--predict N,D` or `--predict C`; NaN for what C alone leaves open."""
    found = []
    for word in words:
        try:
            numbers = [float(part.replace("_", "")) for part in word.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 2):
            raise InputError(f"'{word}' is not N,D", where="--predict", fix="two numbers: --predict 7e9,140e9")
        if not all(0 < number < math.inf for number in numbers):
            raise InputError(f"'{word}' is not positive", where="--predict", fix="parameters and tokens above 0")
        size, tokens = numbers if len(numbers) == 2 else (math.nan, math.nan)
        found.append((size, tokens, 6.0 * size * tokens if len(numbers) == 2 else numbers[0]))
    return tuple(found)


def check_interval(level: float) -> None:
    """Refuse a level that is no probability."""
    if not 0 < level < 1:
        raise InputError(f"--interval is {level:g}", where="--interval", fix="a number between 0 and 1, such as 0.95")


@dataclass(frozen=True, kw_only=True)
class Reading(Action):
    """What all actions take that read a table of runs."""

    tables: tuple[Path, ...] = argument(help=TABLES, metavar="TABLE", eats=("run", "runs", "scores"))
    law: LawName = option(
        "gadre",
        help="gadre: E + (a M^eta + b M^-eta) C^-eta; chinchilla: E + A N^-alpha + B D^-beta; tied: alpha = beta; "
        "power: E + A X^-alpha; kaplan: ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D.",
    )
    variable: Literal["N", "D", "C"] = option("C", help="What the power law is a law of.")
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
    map: dict[str, str] | None = option(
        None, help="Read a column under another name: --map N=params.", panel=INPUTS, metavar="NAME=COLUMN"
    )
    interval: float = option(0.95, help=INTERVAL)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_interval(self.interval)
        if not self.tables:
            raise InputError("no table is given", where="vlmkit fit-scaling", fix="name a table of runs")
        if self.delta is not None and not self.delta > 0:
            raise InputError(f"--delta is {self.delta:g}", where="--delta", fix="a positive number")


@dataclass(frozen=True, kw_only=True)
class FitScalingConfig(Reading):
    """Fit a scaling law to runs and predict larger ones, honestly.

    Tables are csv, parquet, json, jsonl, or what `pretrain` and `eval` wrote; several are joined, scores by the run's
    name. Needed are N (parameters), D (tokens) or M = D / N, and a loss. Expressions compare columns: and, or, not,
    in [..], arithmetic, parentheses; == between numbers allows one part in a million.
    """

    command: ClassVar[str] = "fit-scaling"
    action: ClassVar[str] = "fit"
    makes: ClassVar[str | None] = "law"
    outputs: ClassVar[str] = (
        "law.json (formula, parameters, intervals, certificate), predictions.parquet, draws.parquet, fit.svg, fit.png, "
        "report.html"
    )
    paper: ClassVar[str] = PAPER
    examples: ClassVar[tuple[str, ...]] = (
        'vlmkit fit-scaling runs.csv --target "N > 1e9" --predict 7e9,140e9 --out law',
        'vlmkit fit-scaling runs.csv --where "M >= 20" --fit-where "N < 1e9" --interval 0.8 --out law',
        "vlmkit fit-scaling runs.jsonl --law chinchilla --map N=params --map D=tokens --map loss=val_loss --out law",
        "vlmkit fit-scaling runs.csv --law chinchilla --bootstrap 4000 --explain --out law",
    )

    fit_where: str | None = option(
        None, help="Runs to fit the law to; default: all but the targets.", panel=INPUTS, metavar="EXPR"
    )
    target: str | None = option(
        None, help="Runs to predict and compare with their truth.", panel=INPUTS, metavar="EXPR"
    )
    downstream: tuple[str, ...] = option(
        (), help="Column of a downstream error; the mean of several: --downstream err_a,err_b.", panel=INPUTS,
        metavar="COLUMN",
    )  # fmt: skip
    downstream_fit_where: str | None = option(
        None, help="Runs to fit the downstream law to; default: those of the loss.", panel=INPUTS, metavar="EXPR"
    )
    cluster: str | None = option(
        None, help="Column that says which points belong together, such as a run's checkpoints.", panel=INPUTS
    )
    downstream_law: DownstreamName = option(
        "exponential",
        help="exponential: eps - k exp(-gamma L); sigmoid: four parameters, of the loss too; log-accuracy: "
        "-ln(1 - Err) = A C^-alpha, past the loss.",
    )
    uncertainty: How | None = option(
        None, help="How intervals are made; default: wald, but bootstrap where --bootstrap is given."
    )
    bootstrap: int | None = option(
        None, help="Bootstrap draws, and intervals from them. Without it 1000 are drawn, for frontiers and plans."
    )
    bootstrap_kind: Kind = option("auto", help="auto: pairs from 30 runs on, residuals below; clusters with --cluster.")
    predict: tuple[str, ...] = option((), help=PREDICT, metavar="N,D", repeat=True)
    explain: bool = option(False, help="Say what the law means in words.", digest=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.law, self.variable) != ("power", "C") and any(math.isnan(size) for size, *_ in sizes(self.predict)):
            needs = f"of {self.variable} needs it" if self.law == "power" else "needs N and D"
            raise InputError(
                f"'{self.law}' {needs}", where="--predict", fix="--predict N,D; only power of C predicts from C"
            )
        if self.delta is not None and self.method[0] != "huber":
            raise InputError("--delta belongs to Huber's loss", where="--delta", fix="add --loss huber")
        if self.downstream_fit_where and not self.downstream:
            raise InputError(
                "--downstream-fit-where has nothing to fit",
                where="--downstream-fit-where",
                fix="add --downstream COLUMN",
            )
        if self.bootstrap_kind == "cluster" and self.cluster is None:
            raise InputError(
                "there are no clusters", where="--bootstrap-kind", fix="name their column: --cluster COLUMN"
            )
        if self.bootstrap is not None and not 10 <= self.bootstrap <= 1_000_000:
            raise InputError(f"--bootstrap is {self.bootstrap}", where="--bootstrap", fix="draws, from 10 to 1e6")
        if self.bootstrap is not None and self.uncertainty in ("wald", "profile"):
            raise InputError(
                f"--bootstrap and --uncertainty {self.uncertainty} are two ways",
                where="--uncertainty",
                fix="leave one out",
            )

    @property
    def method(self) -> tuple[Loss, Space]:
        """Loss and space of the fit, the law's defaults filled in."""
        loss, space = DEFAULTS.get(self.law, ("lsq", "raw"))
        return self.loss or loss, self.space or space

    @property
    def how(self) -> How:
        """How intervals are made, the default filled in."""
        return self.uncertainty or ("bootstrap" if self.bootstrap else "wald")


@dataclass(frozen=True, kw_only=True)
class Asking(Action):
    """What all actions take that ask a law which was fitted before."""

    law: str = argument(help=LAW, eats=("law",), maybe_path=True)
    interval: float = option(0.95, help=INTERVAL)

    def __post_init__(self) -> None:
        object.__setattr__(self, "makes", self.table if self.out else None)  # an artifact only where one is asked for
        super().__post_init__()
        check_interval(self.interval)

    @property
    def table(self) -> str:
        """The kind of table that --out writes."""
        return "predictions"


@dataclass(frozen=True, kw_only=True)
class FitScalingPredictConfig(Asking):
    """Predict the loss of models of given sizes from a law that was fitted before."""

    command: ClassVar[str] = "fit-scaling"
    action: ClassVar[str] = "predict"
    outputs: ClassVar[str] = "With --out: predictions.parquet."
    paper: ClassVar[str] = PAPER
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit fit-scaling predict law --predict 7e9,140e9",
        "vlmkit fit-scaling predict law --predict 1e9,2e10 --predict 1e9,6.4e11 --interval 0.8 --json",
        "vlmkit fit-scaling predict hoffmann2022 --predict 70e9,1.4e12",
    )

    predict: tuple[str, ...] = option((), help=PREDICT, metavar="N,D", repeat=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not sizes(self.predict):
            raise InputError("nothing to predict", where="--predict", fix="--predict N,D")
