"""What a run would do, and what would come of it: a sample of the pages goes through the very stages of the run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate.bloom import bits_for
from vlmkit.core.curate.estimate import Estimate, number_kept, shares
from vlmkit.core.curate.parts import Done
from vlmkit.core.curate.trial import REST, Trial, attempt, counts_of
from vlmkit.core.curate.work import Tally, Worker
from vlmkit.core.io.html import percent
from vlmkit.core.io.job import Place, Result
from vlmkit.core.io.progress import quiet
from vlmkit.core.io.sample import MOST, Sample, draw
from vlmkit.core.io.sources import Part, Source
from vlmkit.core.io.workers import cores

Assemble = Callable[[list[Done], Place, Tally], tuple[int, int, dict[str, object]]]
Tokenize = Callable[[Place, Tally], dict[str, object]]


def plan(
    config: CurateConfig, worker: Worker, sources: list[Source], parts: Sequence[Part],
    assemble: Assemble, tokenize: Tokenize, *, most: int = MOST,
) -> Result:  # fmt: skip
    """The plan of a run with an estimate from about `most` pages; nothing is left on the disk."""
    sample = draw(sources, worker.settings.reading, most=most)
    stages = ("read", *worker.settings.stages)
    with TemporaryDirectory() as name, quiet():
        trial = attempt(
            worker, sample, Path(name), stages, assemble=lambda *words: assemble(*words)[0],
            tokenize=(lambda *words: int(str(tokenize(*words)["tokens"]))) if "tokenize" in stages else None,
        )  # fmt: skip
    size = sum(source.size for source in sources)
    values: dict[str, Any] = {"files": len(sources), "bytes": size, "pages": round(sample.pages), "parts": len(parts)}
    values |= {"stages": list(worker.settings.stages)}
    values |= {"sample": {"pages": sample.count, "places": len(sample.stretches), "whole": sample.whole}}
    workers = min(config.workers or cores(), max(1, len(parts)))
    first = bounded_from(worker, sample, stages)
    values["estimate"] = estimate(config, sample, trial, stages, workers, first) if sample.count else None
    values["notes"] = notes(config, sample, stages, first)
    return Result({"plan": values}, shown=shown(values))


def bounded_from(worker: Worker, sample: Sample, stages: Sequence[str]) -> str | None:
    """The first stage whose numbers are bounds alone: it compares pages, of which the sample has few, or it is not
    tried: the mix, and what compares pages in a recipe."""
    compares = worker.kitchen is not None and bool(worker.kitchen.comparisons)
    bounds = {"heuristics": compares, "dedup": not sample.whole, "mix": True}
    return next((stage for stage in stages if bounds.get(stage)), None)


def estimate(
    config: CurateConfig, sample: Sample, trial: Trial, stages: Sequence[str], workers: int, first: str | None
) -> dict[str, Any]:
    """What the sample says of the whole; from the stage `first` on as a bound alone."""
    counts = counts_of(sample)
    pages, times = counts.all_pages(), counts.total / sample.count
    seconds = {stage: trial.seconds(stage, counts.total) for stage in (*stages, REST)}
    seconds["read"] = sample.seconds_a_page * counts.total, 0.0
    rows, kept = [], pages
    bounded = False
    for stage, share in zip(stages, shares(counts, [trial.left[one] for one in stages]), strict=True):
        bounded = bounded or stage == first
        kept = number_kept(pages, share, counts.error)
        if bounded:
            kept, share = (Estimate(one.value, None, one.high) for one in (kept, share))
        row: dict[str, Any] = {"name": stage, "kept": kept.rounded(), "share": share.rounded(4)}
        rows.append(row | {"at_most": bounded, "seconds": round(sum(seconds[stage]), 1)})
    disk = {name: round(number * times) for name, number in trial.sizes.items()}
    disk["peak"] = sum(disk.values())
    ngrams = round(trial.ngrams * times)
    bits = bits_for(ngrams, rate=config.bloom_rate)
    return {
        "pages": pages.rounded(),
        "documents": kept.rounded(),
        "tokens": None if trial.tokens is None else round(trial.tokens * times),
        "stages": rows,
        "bytes": disk,
        "bloom": {"ngrams": ngrams, "bits": bits, "bytes": -(-bits // 8)} if trial.ngrams else None,
        "workers": workers,
        "seconds": round(sum(apart / workers + after for apart, after in seconds.values()), 1),
    }


def notes(config: CurateConfig, sample: Sample, stages: Sequence[str], first: str | None) -> list[str]:
    """What the estimate does not know."""
    if sample.whole and first is None:
        return ["the input is small, so all of it was tried: only the seconds are estimates"]
    found = []
    if first == "heuristics":
        found.append(
            "steps of the recipe that compare all pages are left out of the trial: from the stage heuristics on, "
            "documents, their bytes and tokens are upper bounds, the bytes of dropped/ a lower one"
        )
    if "mix" in stages:
        found.append("the mix is not tried: from that stage on, documents, their bytes and tokens are upper bounds")
    if first == "dedup":
        found.append(
            "duplicates are only found among the pages of the sample; the whole has more of them, and how many no "
            "sample can tell: from the stage dedup on, documents, their bytes and tokens are upper bounds, the bytes "
            "of dropped/ a lower one"
        )
    if sample.fronts:
        found.append(
            f"{sample.fronts} files cannot be entered in the middle, so they were tried at their beginning; the "
            "intervals suppose that the rest is like it"
        )
    if "tokenize" in stages and config.tokenizer == "train":
        found.append("tokens are those of a tokenizer trained on the sample, which fits it better: there will be more")
    return found


def shown(values: dict[str, Any]) -> dict[str, object]:
    """The plan as people read it."""
    found = values["estimate"]
    sample, notes = values["sample"], {str(n): note for n, note in enumerate(values["notes"], 1)}
    what = {key: values[key] for key in ("files", "bytes", "pages", "parts")} | {"sample": f"{sample['pages']:,} pages"}
    if found is None:
        return {"plan": what}
    rows = [
        {
            "stage": row["name"], "kept": row["kept"]["value"], "95 % interval": between(row["kept"]),
            "share": ("≤ " if row["at_most"] else "") + percent(row["share"]["value"]), "seconds": row["seconds"],
        }
        for row in found["stages"]
    ]  # fmt: skip
    ends = {"seconds": found["seconds"], "workers": found["workers"], "tokens": found["tokens"]}
    told: dict[str, object] = {"plan": what, "stages": rows, "bytes": found["bytes"], "run": ends}
    return told | ({"bloom": found["bloom"]} if found["bloom"] else {}) | ({"notes": notes} if notes else {})


def between(ends: dict[str, float | None]) -> str:
    """An interval."""
    low, high = ends["low"], ends["high"]
    if low == high:
        return "exact"
    return f"{low:,.0f} to {high:,.0f}" if low is not None else f"at most {high:,.0f}"
