"""A model to be scored: its name in tables, its tokenizer, and what of the tasks fits into it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from vlmkit.core.errors import InputError
from vlmkit.core.evaluate.measure import max_len, needed
from vlmkit.core.evaluate.tasks import Pool, Task
from vlmkit.core.io.artifacts import find
from vlmkit.core.io.progress import log
from vlmkit.core.io.tables import read_tables
from vlmkit.core.models.load import check_weights, read_config
from vlmkit.core.models.tokenizers import load_tokenizer

Tasks = list[tuple[Task, list[Pool]]]


@dataclass(frozen=True)
class Subject:
    """A model folder with what is known of it before its weights are loaded."""

    name: str
    folder: Path
    tokenizer: PreTrainedTokenizerBase
    max_len: int
    from_run: bool  # whether a row of runs lies beside it


def read_subject(path: Path, *, tokenizer: Path | None, asked_len: int | None) -> Subject:
    """Look at a model without loading its weights.

    Raises:
        InputError: no model there, no tokenizer, a tokenizer of another model, or a length beyond the model's own.
    """
    folder = find(path, "model")
    config = read_config(folder)
    check_weights(folder)
    words = tokenizer_of(folder, tokenizer)
    size = config.get_text_config().vocab_size
    if words.vocab_size > size:
        raise InputError(
            f"the tokenizer has {words.vocab_size:,} tokens, but the model knows {size:,}",
            where=str(tokenizer or folder),
            fix="give the model's own tokenizer with --tokenizer DIR",
        )
    run = folder.parent / "run.parquet"
    name = str(read_tables(run, columns=["name"])["name"][0].as_py()) if run.is_file() else path.resolve().name
    return Subject(name, folder, words, max_len(config, asked_len), run.is_file())


def tokenizer_of(folder: Path, tokenizer: Path | None) -> PreTrainedTokenizerBase:
    """The tokenizer in the model's folder, or the one that is named."""
    try:
        return load_tokenizer(tokenizer or folder)
    except InputError as error:
        if tokenizer:
            raise
        raise InputError(error.what, where=error.where, fix="--tokenizer DIR names a folder that has one") from error


def distinct_names(subjects: Sequence[Subject], paths: Sequence[Path]) -> list[str]:
    """The names of models in tables; where two are equal, with the folder around them.

    Raises:
        InputError: the same model is named twice.
    """
    count = Counter(subject.name for subject in subjects)
    names = [
        subject.name if count[subject.name] == 1 else f"{path.resolve().parent.name}/{subject.name}"
        for subject, path in zip(subjects, paths, strict=True)
    ]
    for name, times in Counter(names).items():
        if times > 1:
            raise InputError(f"two models are named '{name}'", where="MODEL…", fix="name each model once")
    return names


def fitting(subject: Subject, tasks: Tasks, limit: int | None) -> Tasks:
    """The tasks whose continuations fit into a model; the others are named, and refused if none is left."""
    lengths = {task.name: needed(task, pools, subject.tokenizer, limit) for task, pools in tasks}
    long = {name: length for name, length in lengths.items() if length > subject.max_len}
    what = ", ".join(f"{name} needs {length}" for name, length in long.items())
    if len(long) == len(tasks):
        raise InputError(
            f"no task fits into {subject.max_len} tokens ({what})",
            where=str(subject.folder),
            fix="a larger --max-seq-len, or a model with a longer context",
        )
    if long:
        log.warning("%s: not scored, longer than %d tokens: %s", subject.name, subject.max_len, what)
    return [(task, pools) for task, pools in tasks if task.name not in long]
