"""What `vlmkit pretrain` takes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from vlmkit.core.configs.fields import COMPUTE, INPUTS, Action, argument, option
from vlmkit.core.errors import InputError, nearest


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters that a size is trained with unless the user says otherwise; the batch in sequences."""

    seq_len: int
    batch_size: int
    lr: float
    warmup: int
    weight_decay: float = 0.033
    z_loss: float = 1e-4


RECIPES = {  # tiny tuned on tinyshakespeare (held-out loss), the others after it; from 411m on DCLM's, training/configs
    "nano": Recipe(256, 8, 2e-2, 50),
    "micro": Recipe(256, 8, 2e-2, 50),
    "tiny": Recipe(256, 8, 1e-2, 50),
    "petite": Recipe(256, 8, 1e-2, 50),
    "mini": Recipe(256, 8, 6e-3, 50),
    "small": Recipe(256, 16, 4e-3, 50),
    "medium": Recipe(256, 16, 3e-3, 100),
    "11m": Recipe(2048, 64, 3e-3, 500),
    "79m": Recipe(2048, 256, 3e-3, 1000),
    "154m": Recipe(2048, 256, 3e-3, 1000),
    "411m": Recipe(2048, 512, 3e-3, 2000),
    "1b": Recipe(2048, 256, 3e-3, 5000),
    "3b": Recipe(2048, 256, 3e-3, 5000),
    "7b": Recipe(2048, 2048, 2e-3, 5000, weight_decay=0.05, z_loss=5e-6),
}
ARCHS = ("open_lm", "llama", "qwen3")
MULTIPLIER = 20.0  # tokens a parameter: 1x in DCLM's scales
EPOCHS = 4  # most passes of the default budget: further ones teach little (Muennighoff et al. 2023, 2305.16264)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Action):
    """Train a language model on documents or tokens, to an exact token budget.

    The recipe is DCLM's: OpenLM's architecture, AdamW (betas 0.9 and 0.95, decay on all parameters), cosine with linear
    warm-up, z-loss, clipping. Stopped at any moment, the same command goes on to the same bits.
    """

    command: ClassVar[str] = "pretrain"
    makes: ClassVar[str | None] = "run"
    outputs: ClassVar[str] = "model/ (a transformers folder), run.parquet (for fit-scaling), metrics.parquet, state/."
    paper: ClassVar[str] = "DataComp-LM: In search of the next generation of training sets (Li et al. 2024)."
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit pretrain clean --out lm",
        "vlmkit pretrain clean --size mini --tokens 1e6 --holdout 0.05 --out mini",
        "vlmkit pretrain clean --init lm --tokens 200000 --lr 1e-3 --val web=clean --out tuned",
        "vlmkit pretrain clean --arch llama --tokens 300000 --nproc 2 --out pair",
    )

    data: tuple[Path, ...] = argument(
        help="Tokens, documents, the curated folder around them, or parquet with a column `text`.",
        eats=("tokens", "documents"),
    )
    val: dict[str, Path] = option(
        {}, help="Text or tokens to measure the loss on (loss_NAME).", panel=INPUTS, eats=("tokens", "documents")
    )
    holdout: float | None = option(
        None, help="Fraction of the documents kept out of training (loss_heldout): 0.02, or 0 with --val.", panel=INPUTS
    )
    tokenizer: Path | None = option(
        None, help="Tokenizer for documents; default: that of the tokens or of --init, else one is trained.",
        panel=INPUTS, metavar="DIR",
    )  # fmt: skip
    init: Path | None = option(
        None, help="Go on from this model instead of a new one.", panel=INPUTS, eats=("model",), metavar="MODEL"
    )
    arch: str = option(
        "open_lm", help="Architecture of a new model.", maybe_path=True, metavar="open_lm|llama|qwen3|FILE.json"
    )
    size: Literal[
        "nano", "micro", "tiny", "petite", "mini", "small", "medium", "11m", "79m", "154m", "411m", "1b", "3b", "7b"
    ] = option("tiny", help="Size of a new model, and the recipe that goes with it.")
    vocab_size: int | None = option(None, help="Vocabulary; default: the tokenizer's (a trained one gets 4096).")
    tokens: int | None = option(None, help="Tokens to train on, exactly.")
    multiplier: float | None = option(
        None, help="Tokens to train on for each parameter; default 20 (DCLM's 1x), but at most 4 passes over the data."
    )
    seq_len: int | None = option(None, help="Tokens a sequence; default 256 up to medium, else 2048.")
    batch_size: int | None = option(None, help="Sequences a step; default 8 to 2048 by size (DCLM 411m: 512).")
    lr: float | None = option(None, help="Peak learning rate; default 0.01 (tiny) to 0.002 (7b); a tenth with --init.")
    end_lr: float = option(3e-5, help="Last learning rate (DCLM).")
    warmup: int | None = option(
        None, help="Steps of linear warm-up; default 50 to 5000 by size, at most 3 tenths of the run."
    )
    schedule: Literal["cosine", "constant", "cooldown"] = option("cosine", help="Learning rate after the warm-up.")
    cooldown: float | None = option(
        None, help="Part of the run at the end in which `--schedule cooldown` falls to --end-lr; default 0.2."
    )
    weight_decay: float | None = option(None, help="Decay of all parameters; default 0.033 (DCLM; 7b 0.05).")
    beta1: float = option(0.9, help="AdamW's first beta.")
    beta2: float = option(0.95, help="AdamW's second beta.")
    eps: float = option(1e-8, help="AdamW's epsilon.")
    clip: float = option(1.0, help="Largest norm of the gradient; 0 leaves it alone.")
    z_loss: float | None = option(None, help="Weight of the z-loss; default 1e-4 (DCLM; 7b 5e-6).")
    micro_batch_size: int | None = option(
        None, help="Sequences a forward pass, to save memory; gradients add up.", panel=COMPUTE
    )
    nproc: int = option(
        1, help="Processes that share each batch (or start them with torchrun).", panel=COMPUTE, digest=False
    )
    parallel: Literal["ddp", "fsdp"] = option(
        "ddp", help="ddp: each process holds the model; fsdp: each holds a part (FSDP2).", panel=COMPUTE, digest=False
    )
    checkpoint_every: int | None = option(
        None, help="Steps between checkpoints; default: about every 20 s.", panel=COMPUTE, digest=False
    )
    name: str | None = option(None, help="Name in run.parquet; default: from architecture, size, tokens and settings.")
    dataset: str | None = option(None, help="Name of the data in run.parquet; default: from their folders.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.arch not in ARCHS and not self.arch.endswith(".json"):
            raise InputError(
                f"unknown architecture '{self.arch}'", where="--arch", fix=nearest(self.arch, (*ARCHS, "FILE.json"))
            )
        if self.tokens is not None and self.multiplier is not None:
            raise InputError(
                "--tokens and --multiplier exclude each other", where="--multiplier", fix="give one of them"
            )
        if self.tokens is not None and self.tokens > 1e16:
            raise InputError(f"--tokens is {self.tokens:g}", where="--tokens", fix="at most 1e16")
        if self.vocab_size is not None and self.vocab_size > 1 << 20:
            raise InputError(f"--vocab-size is {self.vocab_size:,}", where="--vocab-size", fix="at most 1,048,576")
        if self.cooldown is not None and self.schedule != "cooldown":
            raise InputError("--cooldown needs its schedule", where="--cooldown", fix="add --schedule cooldown")
        if self.init is not None and self.arch != "open_lm":
            raise InputError("--init brings its own architecture", where="--arch", fix="leave out --arch")
        if self.init is not None and self.tokenizer is not None:
            raise InputError("--init brings its own tokenizer", where="--tokenizer", fix="leave out --tokenizer")
        for name in self.val:
            if not name.isidentifier() or (name == "heldout" and self.held):
                fix = "letters, digits and _; 'heldout' is the name of --holdout"
                raise InputError(f"a set of --val cannot be named '{name}'", where="--val", fix=fix)
        if self.dtype == "float16":
            raise InputError("training in float16 is not offered", where="--dtype float16", fix="bfloat16 or float32")
        whole = (
            "vocab_size",
            "tokens",
            "multiplier",
            "seq_len",
            "batch_size",
            "lr",
            "nproc",
            "micro_batch_size",
            "checkpoint_every",
        )
        for field in whole:
            positive(field, getattr(self, field), above=0)
        for field in ("warmup", "end_lr", "clip", "weight_decay", "z_loss"):
            positive(field, getattr(self, field), above=None)
        for field in ("holdout", "beta1", "beta2", "cooldown"):
            value = getattr(self, field)
            if value is not None and not 0 <= value < 1:
                raise InputError(f"{flag(field)} is {value:g}", where=flag(field), fix="a number in [0, 1)")

    @property
    def recipe(self) -> Recipe:
        """The hyper-parameters of the size, with the user's own ones in their places."""
        base = RECIPES[self.size]
        if self.init is not None:
            base = replace(base, lr=base.lr / 10)

        def chosen(name: str) -> int | float:
            value = getattr(self, name)
            return getattr(base, name) if value is None else value

        return Recipe(**{name: chosen(name) for name in base.__dataclass_fields__})  # type: ignore[arg-type]

    @property
    def held(self) -> float:
        """The fraction of the documents to hold out, the default filled in."""
        return self.holdout if self.holdout is not None else 0.0 if self.val else 0.02

    @property
    def dataset_name(self) -> str:
        """The name of the data, from their folders unless it is given."""
        folders = [path.parent if path.name in ("tokens", "documents") else path for path in self.data]
        return self.dataset or "+".join(folder.name.removesuffix(".parquet") or "data" for folder in folders)


def flag(field: str) -> str:
    """The option of a field."""
    return "--" + field.replace("_", "-")


def positive(field: str, value: float | None, *, above: int | None) -> None:
    """Refuse a number that is negative, or zero where `above` is 0."""
    if value is not None and (value < 0 or (above == 0 and value == 0)):
        fix = "a positive number" if above == 0 else "zero or a positive number"
        raise InputError(f"{flag(field)} is {value:g}", where=flag(field), fix=fix)
