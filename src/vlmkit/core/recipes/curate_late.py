"""The late stages of curation, which need all documents that are left: the mix, evaluation tasks, and tokens."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate.contamination import find_contaminated, report, write_report
from vlmkit.core.curate.decontaminate import Index, Look, Seeker, build_index, seek
from vlmkit.core.curate.items import read_tasks
from vlmkit.core.curate.left import look
from vlmkit.core.curate.mix import ESTIMATE, Counter, Recipe, count, find_spare, read_mix
from vlmkit.core.curate.parts import Done
from vlmkit.core.curate.verdicts import Verdicts
from vlmkit.core.curate.work import Settings, Tally
from vlmkit.core.io.job import Place
from vlmkit.core.io.progress import log
from vlmkit.core.io.tables import iter_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Plans:
    """What the late stages go by: the mix, and the index of the tasks' items; None for a stage that does not run."""

    mix: Recipe | None = None
    tasks: tuple[Index, dict[str, Look]] | None = None


def read_plans(config: CurateConfig, stages: tuple[str, ...]) -> Plans:
    """Read the mix and the tasks.

    Raises:
        InputError: a file is none of its kind, or damaged.
    """
    mix = read_mix(config.mix, tokens=config.mix_tokens, repeat=config.mix_repeat) if "mix" in stages else None
    if "decontaminate" not in stages:
        return Plans(mix)
    return Plans(mix, build_index(read_tasks(config.decontaminate), size=config.decontaminate_ngram))


def choose(
    config: CurateConfig, plans: Plans, parts: list[Done], found: Verdicts, job: Place, tally: Tally
) -> dict[str, object]:
    """Drop what the mix leaves out, then what holds items of tasks; what is reported of both."""
    values: dict[str, object] = {}
    begun = time.perf_counter()
    if plans.mix:
        path = None if config.tokenizer in (None, "train") else Path(str(config.tokenizer))
        counted = look(
            count, partial(Counter, plans.mix, path, config.seed), parts, found,
            root=job.state / "mix", workers=config.workers, name="mix",
        )  # fmt: skip
        values["mix"] = find_spare(plans.mix, counted, found, tokens_by="tokenizer" if path else ESTIMATE)
        begun = tally.spend("mix", begun)
    if plans.tasks:
        index, looks = plans.tasks
        folder = job.state / "decontaminate"
        index.save(folder / "index")
        held = look(
            seek, partial(seeker, index, folder / "index", config.decontaminate_threshold), parts, found,
            root=folder, workers=config.workers, name="decontaminate",
        )  # fmt: skip
        matches, documents = find_contaminated(held, index.about, found, threshold=config.decontaminate_threshold)
        values["decontamination"] = write_report(report(looks, matches, documents), job.folder)
        tally.spend("decontaminate", begun)
    return values


def seeker(index: Index, folder: Path, threshold: float) -> Seeker:
    """What looks for the items of an index whose arrays are shared on the disk."""
    return Seeker(index.mapped(folder), threshold=threshold)


def tokenize(
    config: CurateConfig, settings: Settings, tokenizer: "PreTrainedTokenizerBase | None", job: Place, tally: Tally
) -> dict[str, object]:
    """Write the documents as tokens in the layouts asked for, by a tokenizer trained on them unless there is one."""
    from vlmkit.core.curate.layouts import marks_of, write_ds, write_webdataset
    from vlmkit.core.curate.tokens import tokenised, trained_tokenizer, write_tokens
    from vlmkit.core.models.tokenizers import save_tokenizer

    begun = time.perf_counter()
    documents = job.folder / "documents"
    if tokenizer is None:
        tokenizer = trained_tokenizer(documents, vocab_size=config.vocab_size, state=job.state / "tokenizer")
    arrays = tokenised(documents, tokenizer, state=job.state / "tokens")
    rows = ordered(arrays, documents, job.state / "order", config)
    layouts: dict[str, object] = {}
    if "vlmkit" in config.token_format:
        write_tokens(rows, tokenizer, folder=job.folder / "tokens")
    if "ds" in config.token_format:
        layouts["ds"] = write_ds(rows, tokenizer, folder=job.folder / "ds")
    if "webdataset" in config.token_format:
        faithful = config.mode == "faithful"
        written = write_webdataset(
            arrays, marks_of(tokenizer, faithful=faithful), folder=job.folder / "webdataset",
            state=job.state / "cells", size=config.context, seed=config.seed,
            keep_empty="all_padding" not in settings.fixes, workers=config.workers,
        )  # fmt: skip
        layouts["webdataset"] = written
        if empty := int(str(written["all_padding"])):
            tally.differing["all_padding"] += empty
            log.warning("%d contexts are padding alone, as tokshuf-rs has them: --fix all_padding", empty)
    for name in layouts:
        save_tokenizer(tokenizer, job.folder / name / "tokenizer")
    sizes = [lengths_of(path) for path in arrays]
    tally.kept["tokenize"] = sum(map(len, sizes))
    tally.spend("tokenize", begun)
    count_all = int(sum(one.sum() for one in sizes))
    return {"tokens": count_all} | ({"layouts": layouts} if layouts else {})


def lengths_of(array: Path) -> np.ndarray:
    """How many tokens each document of an array on the disk has, the end of text included, int64 (N,)."""
    return np.diff(np.flatnonzero(np.load(array, mmap_mode="r") == -1), prepend=-1)


def ordered(arrays: list[Path], documents: Path, state: Path, config: CurateConfig) -> Iterable[np.ndarray]:
    """The tokens of all documents, to be read more than once: as they come, or shuffled by digests of their ids."""
    from vlmkit.core.curate.shuffle import Cells, cell_edges, id_keys, places_of
    from vlmkit.core.curate.tokens import Documents

    if not config.shuffle:
        return Documents(arrays)
    ids = (str(row["id"]) for row in iter_rows(documents, columns=["id"]))
    places = places_of(id_keys(ids, seed=config.seed))
    cells = Cells(state, places, cell_edges(places, np.concatenate([lengths_of(path) for path in arrays])))
    cells.fill(Documents(arrays))
    return cells
