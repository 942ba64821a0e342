"""Corpora of several recipes beside one another."""

from collections import Counter
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

from vlmkit.core.configs.curate_compare import CurateCompareConfig
from vlmkit.core.curate.compare_page import compare_page
from vlmkit.core.curate.corpora import difference, read_corpus, side_by_side
from vlmkit.core.errors import InputError
from vlmkit.core.io.files import write_text
from vlmkit.core.io.html import percent
from vlmkit.core.io.job import Result, open_job
from vlmkit.core.io.manifest import Manifest, read_manifest

PAGE = "report.html"


def run(config: CurateCompareConfig) -> Result:
    """Compare corpora."""
    job = open_job(config)
    if job.stored:
        return replace(job.stored, shown=shown(job.stored.values))
    manifests = [manifest_of(path) for path in config.corpora]
    names = named(config.corpora)
    corpora = [figures(name, one) for name, one in zip(names, manifests, strict=True)]
    read = [read_corpus(name, path) for name, path in zip(names, config.corpora, strict=True)]
    inputs = [pages_of(one) for one in manifests]
    values: dict[str, object] = {"corpora": corpora, "same_inputs": all(one == inputs[0] for one in inputs)}
    values |= {"differences": [difference(one, other) for one, other in permutations(read, 2)]}
    if config.out is None or config.dry_run:
        return Result(values, shown=shown(values))
    page = compare_page(values)
    job.begin()
    write_text(job.folder / PAGE, page)
    return replace(job.finish(values, logs=[PAGE]), shown=shown(values))


def manifest_of(path: Path) -> Manifest:
    """The manifest of a corpus.

    Raises:
        InputError: the folder is none that `vlmkit curate` wrote.
    """
    manifest = read_manifest(path)
    if manifest.kind != "curated" or not manifest.metrics.get("stages"):
        raise InputError(
            f"this is an artifact of kind '{manifest.kind}', not a corpus", where=str(path),
            fix="give folders that `vlmkit curate` wrote",
        )  # fmt: skip
    return manifest


def pages_of(manifest: Manifest) -> list[str]:
    """The digests of what a corpus was made of; files that its settings name come behind them."""
    given = manifest.config.get("inputs")
    count = len(given) if isinstance(given, list) else None
    return sorted(item.content_digest for item in manifest.inputs[:count])


def named(paths: tuple[Path, ...]) -> list[str]:
    """The names of folders; folders of the same name keep their paths."""
    counts = Counter(path.resolve().name for path in paths)
    return [path.resolve().name if counts[path.resolve().name] == 1 else str(path) for path in paths]


def figures(name: str, manifest: Manifest) -> dict[str, Any]:
    """What the run that made a corpus said of it."""
    said = manifest.metrics
    return {"name": name} | {key: said.get(key) for key in ("documents", "dropped", "tokens", "stages", "rules")}


def shown(values: dict[str, Any]) -> dict[str, object]:
    """The comparison as people read it: shares that each stage keeps, drops of each rule, documents that differ."""
    shares, counts = side_by_side(values["corpora"])
    names = [one["name"] for one in values["corpora"]]
    kept = [{"": stage} | dict(zip(names, map(percent, row), strict=True)) for stage, row in shares]
    drops = [{"": rule} | dict(zip(names, row, strict=True)) for rule, row in counts]
    corpora = [{key: one[key] for key in ("name", "documents", "dropped", "tokens")} for one in values["corpora"]]
    rows = []
    for one in values["differences"]:
        most = next(iter(one["rules"].items()), None)
        told = f"{most[0]} {most[1]:,}" if most else None
        keys = ("kept_by", "dropped_by", "documents", "unknown")
        rows.append({key.replace("_", " "): one[key] for key in keys} | {"mostly by": told})
    found: dict[str, object] = {"corpora": corpora, "same inputs": values["same_inputs"]}
    return found | {"kept of the pages read": kept, "dropped by each rule": drops, "differences": rows}
