"""Training of a quality classifier: texts in, a fastText model out, judged on what was held out."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from vlmkit.core.configs.curate_quality import TrainQualityConfig
from vlmkit.core.curate.extract import extract_default
from vlmkit.core.curate.parts import read_part
from vlmkit.core.curate.quality import GOOD, MODEL, Classifier, Training, judge, split_texts, train
from vlmkit.core.errors import InputError
from vlmkit.core.io.encodings import clean
from vlmkit.core.io.files import atomic, write_text
from vlmkit.core.io.inflate import Damage
from vlmkit.core.io.job import Result, open_job
from vlmkit.core.io.records import check_columns
from vlmkit.core.io.sources import find_sources, plan_parts
from vlmkit.core.io.web import Reading


def run(config: TrainQualityConfig) -> Result:
    """Train a classifier."""
    job = open_job(config)
    if job.stored:
        return job.stored
    reading = Reading(config.text_column, config.text_unit)
    lines, held = split_texts(texts_of(config.positive, reading), texts_of(config.negative, reading))
    counts = {"positive": sum(line.startswith(f"__label__{GOOD}") for line in [*lines, *held])}
    counts["negative"] = len(lines) + len(held) - counts["positive"]
    if config.dry_run:
        size = 4 * config.dimension * config.buckets
        return Result({"plan": counts | {"held_out": len(held), "model_bytes_at_least": size}})
    job.begin()
    file = job.state / "lines.txt"
    write_text(file, "\n".join(lines) + "\n")
    training = Training(
        config.rate, config.dimension, config.epochs, config.ngrams, config.buckets, config.least_count, config.seed
    )
    model = train(file, training)
    with atomic(job.folder / MODEL) as temporary:
        model.save_model(str(temporary))
    values: dict[str, object] = {**counts, **judge(Classifier(job.folder), held)}
    return job.finish(values, next=f"vlmkit curate INPUT --quality-model {config.out} --quality-keep 0.1 --out corpus")


def texts_of(inputs: Sequence[Path], reading: Reading) -> Iterator[str]:
    """The texts of inputs in order; pages without text are passed over.

    Raises:
        InputError: something cannot be read.
    """
    sources = find_sources(inputs)
    check_columns(sources, reading.text_column)
    for part in plan_parts(sources):
        for page in read_part(part, reading):
            if isinstance(page, Damage):
                raise InputError(
                    page.reason, where=f"{page.source}@{page.offset}", fix="mend the file, or leave it out"
                )
            text = extract_default(page.html, page.charset) if page.html is not None else clean(page.text or "")
            if isinstance(text, str) and text.strip():
                yield text
