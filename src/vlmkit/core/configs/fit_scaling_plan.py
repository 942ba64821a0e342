"""What `vlmkit fit-scaling frontier` and `plan` take."""

from dataclasses import dataclass
from typing import ClassVar

from vlmkit.core.configs.fields import INPUTS, option
from vlmkit.core.configs.fit_scaling import PREDICT, Asking, sizes
from vlmkit.core.errors import InputError

SARDANA = "Beyond Chinchilla-Optimal: Accounting for Inference in Language Model Scaling Laws (Sardana et al., 2024)"


@dataclass(frozen=True, kw_only=True)
class FitScalingFrontierConfig(Asking):
    """Say which run is compute-optimal for a budget, with intervals, and what Approaches 1 and 2 would say."""

    command: ClassVar[str] = "fit-scaling"
    action: ClassVar[str] = "frontier"
    outputs: ClassVar[str] = "With --out: part-00000.parquet, a row a budget."
    paper: ClassVar[str] = "Training Compute-Optimal Large Language Models (Hoffmann et al., 2022)"
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit fit-scaling frontier law --compute 1e21,5.76e23",
        "vlmkit fit-scaling frontier besiroglu2024 --compute 3.8e25 --json",
    )

    compute: tuple[float, ...] = option(
        (), help="Training FLOPs; default: each decade from the fitted runs to a hundred times the largest."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("--compute", *self.compute)

    @property
    def table(self) -> str:
        """The kind of table that --out writes."""
        return "frontier"


@dataclass(frozen=True, kw_only=True)
class FitScalingPlanConfig(Asking):
    """Say what to train: the best run for a cost, or the cheapest for a quality, counting what it will serve.

    Training costs 6 N D FLOPs, serving Y tokens 2 N Y. Give one of --compute, --budget, --loss, --error, --like; N or D
    may be fixed (--params, --tokens) or capped. With --next: which affordable run would narrow a prediction most.
    """

    command: ClassVar[str] = "fit-scaling"
    action: ClassVar[str] = "plan"
    outputs: ClassVar[str] = "With --out: part-00000.parquet, a row a run."
    paper: ClassVar[str] = SARDANA
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit fit-scaling plan law --compute 1e21",
        "vlmkit fit-scaling plan law --like 13e9 --inference 2e12",
        "vlmkit fit-scaling plan law --budget 5e6 --price-training 4e-18 --price-inference 6e-18 --inference 1e13",
        "vlmkit fit-scaling plan law --loss 2.1 --max-params 8e9",
        "vlmkit fit-scaling plan law --next --predict 7e9,140e9 --budget 1e20",
    )

    compute: float | None = option(None, help="Training FLOPs to spend.", panel=INPUTS)
    budget: float | None = option(
        None, help="Cost of training and inference together: FLOPs, or money with prices.", panel=INPUTS
    )
    loss: float | None = option(None, help="Loss to reach at the least cost.", panel=INPUTS)
    error: float | None = option(None, help="Downstream error to reach at the least cost.", panel=INPUTS)
    like: tuple[float, ...] = option(
        (), help="Reach the loss of a model of N parameters: compute-optimal, or on D tokens.", panel=INPUTS,
        metavar="N[,D]",
    )  # fmt: skip
    inference: float = option(0.0, help="Tokens that the model will serve.")
    params: float | None = option(None, help="Fix the parameters.")
    tokens: float | None = option(None, help="Fix the training tokens.")
    max_params: float | None = option(None, help="Most parameters, such as what one GPU holds.")
    max_tokens: float | None = option(None, help="Most training tokens, such as what there is.")
    price_training: float | None = option(None, help="Price of a training FLOP.")
    price_inference: float | None = option(None, help="Price of an inference FLOP; default: that of training.")
    next: bool = option(False, help="Rank affordable runs by how much they narrow the interval of --predict.")
    predict: tuple[str, ...] = option((), help=PREDICT, metavar="N,D", repeat=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        named = {f"--{name}": getattr(self, name) for name in ("compute", "budget", "loss", "error")}
        positive("--inference", *([self.inference] if self.inference else []))
        for name in ("compute", "budget", "loss", "params", "tokens", "max_params", "max_tokens", "price_training",
                     "price_inference"):  # fmt: skip
            value = getattr(self, name)
            positive("--" + name.replace("_", "-"), *([value] if value is not None else []))
        if len(self.like) > 2:
            raise InputError("--like takes N or N,D", where="--like", fix="--like 13e9 or --like 7e9,2e12")
        positive("--like", *self.like)
        given = [name for name, value in (named | {"--like": self.like or None}).items() if value is not None]
        if self.next:
            self.check_next(given)
        elif len(given) != 1:
            raise InputError(
                f"{len(given)} of --compute, --budget, --loss, --error and --like are given",
                where="vlmkit fit-scaling plan",
                fix="give one: what may be spent, or what is to be reached",
            )
        elif self.compute and self.inference:
            raise InputError(
                "--compute counts training alone", where="--inference", fix="--budget counts training and inference"
            )
        elif self.params and self.tokens:
            raise InputError("nothing is left to decide", where="--params --tokens", fix="fix one, or use `predict`")
        elif self.predict:
            raise InputError("--predict belongs to --next", where="--predict", fix="add --next, or use `predict`")
        for fixed, most in (("params", "max_params"), ("tokens", "max_tokens")):
            one, cap = getattr(self, fixed), getattr(self, most)
            if one and cap and one > cap:
                raise InputError(
                    f"--{fixed} is {one:g}, more than --{most.replace('_', '-')} allows ({cap:g})",
                    where=f"--{fixed}",
                    fix="leave one of the two out",
                )
        if self.price_inference and not self.price_training:
            raise InputError("one price is missing", where="--price-inference", fix="give --price-training too")

    def check_next(self, given: list[str]) -> None:
        """Refuse what --next cannot use."""
        if given not in (["--budget"], ["--compute"]) or len(sizes(self.predict)) != 1:
            raise InputError(
                "--next needs one prediction and what a run may cost",
                where="--next",
                fix="--next --predict N,D --budget FLOPs",
            )
        unused = [name for name in ("params", "tokens", "inference", "price_inference") if getattr(self, name)]
        if unused:
            name = "--" + unused[0].replace("_", "-")
            raise InputError(
                f"--next ranks training runs of any size: {name} says nothing about them",
                where=name,
                fix="leave it out; --max-params and --max-tokens narrow the choice",
            )

    @property
    def table(self) -> str:
        """The kind of table that --out writes."""
        return "plan"


def positive(option_: str, *values: float) -> None:
    """Refuse a number that is not positive."""
    for value in values:
        if not value > 0:
            raise InputError(f"{option_} is {value:g}", where=option_, fix="a positive number")
