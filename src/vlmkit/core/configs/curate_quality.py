"""The settings of `vlmkit curate train-quality`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from vlmkit.core.configs.fields import INPUTS, Action, option
from vlmkit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TrainQualityConfig(Action):
    """Train the classifier that tells good pages from others, as DCLM trains its own.

    Texts are read as `vlmkit curate` reads them. DCLM took 200,000 of each: good ones from OpenHermes 2.5 and
    r/ExplainLikeImFive, others from its own pool. One text in twenty is held out to judge by.
    """

    command: ClassVar[str] = "curate"
    action: ClassVar[str] = "train-quality"
    makes: ClassVar[str | None] = "classifier"
    outputs: ClassVar[str] = "model.bin, a fastText model for `vlmkit curate --quality-model`."
    paper: ClassVar[str] = "DataComp-LM: In search of the next generation of training sets (Li et al. 2024)."
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit curate train-quality --positive good.jsonl --negative clean/documents --out quality",
        "vlmkit curate web --quality-model quality --quality-keep 0.1 --out corpus",
    )

    positive: tuple[Path, ...] = option((), help="Good texts: files or folders.", panel=INPUTS, metavar="INPUT")
    negative: tuple[Path, ...] = option((), help="Other texts.", panel=INPUTS, metavar="INPUT")
    text_column: str = option("text", help="Where tables hold the text.", panel=INPUTS)
    text_unit: Literal["file", "block", "line"] = option(
        "block", help="What one text of a text file is; a block ends at an empty line.", panel=INPUTS
    )
    rate: float = option(0.1, help="Learning rate.")
    dimension: int = option(100, help="Dimension of the word vectors.")
    epochs: int = option(5, help="Passes over the texts.")
    ngrams: int = option(2, help="Longest n-grams of words that are features.")
    buckets: int = option(2_000_000, help="Buckets of n-grams; the model has 4 bytes a bucket and dimension.")
    least_count: int = option(1, help="Words that occur less often are no features.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("positive", "negative"):
            if not getattr(self, name):
                raise InputError(f"no texts are given for --{name}", where=f"--{name}", fix=f"--{name} FILE")
        if not self.rate > 0:
            raise InputError(f"--rate is {self.rate:g}", where="--rate", fix="a positive number")
        for name in ("dimension", "epochs", "ngrams", "buckets", "least_count"):
            option_ = "--" + name.replace("_", "-")
            if getattr(self, name) < 1:
                raise InputError(f"{option_} is {getattr(self, name)}", where=option_, fix="1 or more")
