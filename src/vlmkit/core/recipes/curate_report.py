"""The page about a corpus: what `vlmkit curate` leaves for people beside the tables."""

from vlmkit.core.curate.page import Origin, Values, corpus_page
from vlmkit.core.curate.work import Settings
from vlmkit.core.io.files import write_text
from vlmkit.core.io.job import Job, versions

PAGE = "report.html"


def write_page(job: Job, settings: Settings, values: Values) -> str:
    """Write the page of a corpus whose tables are written; its name."""
    steps = settings.recipe if "heuristics" in settings.stages else ()
    said = {name: value for name, value in job.settings.items() if name not in ("inputs", "stages")}
    origin = Origin(job.inputs, {"stages": settings.stages} | said, steps, versions())
    folders = {name: job.folder / name for name in ("documents", "dropped")}
    write_text(job.folder / PAGE, corpus_page(values, origin, **folders))
    return PAGE
