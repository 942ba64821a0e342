"""What `vlmkit curate` leaves for people: a page beside the tables, and the funnel on the terminal."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vlmkit.core.curate.page import Origin, corpus_page, pages_read, share
from vlmkit.core.curate.work import Settings
from vlmkit.core.io.files import write_text
from vlmkit.core.io.html import percent
from vlmkit.core.io.job import Job, Result, versions

PAGE = "report.html"
RULES = 20  # rules on the terminal


def write_page(job: Job, settings: Settings, values: Mapping[str, Any]) -> str:
    """Write the page of a corpus whose tables are written; its name."""
    steps = settings.recipe if "heuristics" in settings.stages else ()
    said = {name: value for name, value in job.settings.items() if name not in ("inputs", "stages")}
    origin = Origin(job.inputs, {"stages": settings.stages} | said, steps, versions())
    folders = {name: job.folder / name for name in ("documents", "dropped")}
    write_text(job.folder / PAGE, corpus_page(values, origin, **folders))
    return PAGE


def with_funnel(result: Result) -> Result:
    """The result of a run as people read it: shares beside the numbers, and the rules that drop most."""
    values: dict[str, Any] = dict(result.values)
    stages, rules = values.pop("stages"), values.pop("rules")
    read = pages_read(result.values)
    funnel = [
        {
            "stage": one["name"], "kept": one["kept"], "dropped": one["dropped"],
            "kept of all": percent(share(one["kept"], read)), "characters": one.get("chars"), "seconds": one["seconds"],
        }
        for one in stages
    ]  # fmt: skip
    drops = [{"rule": name, "dropped": count, "of all": percent(share(count, read))} for name, count in rules.items()]
    if len(drops) > RULES:
        left = sum(count for count in list(rules.values())[RULES:])
        last = {"rule": f"{len(drops) - RULES} others", "dropped": left, "of all": percent(share(left, read))}
        drops = [*drops[:RULES], last]
    sums = {name: values.pop(name) for name in ("documents", "dropped", "tokens")}
    page = {"page": str(result.artifact / PAGE)} if result.artifact and (result.artifact / PAGE).is_file() else {}
    return replace(result, shown=sums | page | {"stages": funnel, "dropped by rules": drops} | values)
