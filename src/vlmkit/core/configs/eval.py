"""Options of `vlmkit eval`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from vlmkit.core.configs.fields import COMPUTE, INPUTS, Action, argument, option
from vlmkit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class EvalConfig(Action):
    """Score language models on in-context tasks, and report CORE and EXTENDED.

    Prompts, tokens and scores are those of DCLM's harness, from local files. A task of DCLM's table takes its shots,
    format and baseline from there; any other FILE.jsonl is scored by the columns of its rows and takes part in no
    aggregate. An aggregate that lacks a task is refused, with the names of what is missing.
    """

    command: ClassVar[str] = "eval"
    makes: ClassVar[str | None] = "scores"
    outputs: ClassVar[str] = "part-00000.parquet: model, task, shots, metric, value, low, high, n, baseline, centered."
    paper: ClassVar[str] = "DataComp-LM: In search of the next generation of training sets (Li et al., 2024)"
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit eval lm --task-data tasks --out scores",
        "vlmkit eval lm --tasks pages_last_word,pages_word_order --task-data tasks --limit 50 --out quick",
    )

    models: tuple[Path, ...] = argument(
        help="Model folders, or runs of `vlmkit pretrain`.", metavar="MODEL", eats=("model",)
    )
    task_data: Path = option(help="Folder of task files, one .jsonl a task.", panel=INPUTS, metavar="DIR")
    tasks: tuple[str, ...] = option(
        (), help="core, extended, or names of tasks; default: all that --task-data holds.", panel=INPUTS
    )
    tokenizer: Path | None = option(None, help="Tokenizer folder, if a model has none of its own.", panel=INPUTS)
    limit: int | None = option(None, help="Score only the first N rows of a task (of each of its categories).")
    shots: int | None = option(None, help="Examples before a question, instead of each task's own number.")
    fewshot_seed: int = option(1234, help="Seed of the draw of examples; DCLM's is 1234.")
    max_seq_len: int | None = option(
        None, help="Longest sequence; prompts lose their first tokens. Default: the model's own limit, at most 2048."
    )
    batch_size: int = option(
        0,
        help="Sequences at once; 0 takes as many as fit. The scores do not depend on it.",
        panel=COMPUTE,
        digest=False,
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "float64"] = option(
        "float32", help="Number format of the computation; DCLM's is float32.", panel=COMPUTE
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"limit": 1, "shots": 0, "max_seq_len": 2, "batch_size": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                flag = "--" + name.replace("_", "-")
                raise InputError(f"{flag} is {value}", where=flag, fix=f"{low} or more")
        if not self.models:
            raise InputError(
                "no model is named", where="vlmkit eval", fix="vlmkit eval MODEL… --task-data DIR --out DIR"
            )


@dataclass(frozen=True, kw_only=True)
class AggregateConfig(Action):
    """Compute CORE and EXTENDED from per-task scores that are there already.

    Reads DCLM's evaluations (`icl` dictionaries in JSON or JSON Lines), plain dictionaries of scores, and tables of
    scores that `vlmkit eval` wrote.
    """

    command: ClassVar[str] = "eval"
    action: ClassVar[str] = "aggregate"
    outputs: ClassVar[str] = "With --out: part-00000.parquet, a table of scores."
    paper: ClassVar[str] = EvalConfig.paper
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit eval aggregate scores",
        "vlmkit eval aggregate scores --json",
    )

    files: tuple[Path, ...] = argument(
        help="Files of per-task scores, or folders of `vlmkit eval`.", metavar="FILE", eats=("scores",)
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "makes", "scores" if self.out else None)  # an artifact only where one is asked for
        super().__post_init__()
        if not self.files:
            raise InputError("no file is named", where="vlmkit eval aggregate", fix="vlmkit eval aggregate FILE…")
