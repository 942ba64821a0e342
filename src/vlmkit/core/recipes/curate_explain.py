"""What became of a page."""

from vlmkit.core.configs.curate_explain import ExplainConfig
from vlmkit.core.curate.explain import ids_of, row_of, shared_span, values_of
from vlmkit.core.curate.ledger import FOLDER
from vlmkit.core.errors import InputError, nearest
from vlmkit.core.io.job import Result, open_job

MOST = 100_000  # ids among which the nearest one is looked for
SHOWN = 300  # characters of a text


def run(config: ExplainConfig) -> Result:
    """Explain one page."""
    open_job(config)
    documents, dropped = config.corpus / "documents", config.corpus / "dropped"
    if not documents.is_dir():
        raise InputError(
            "no corpus is here", where=str(config.corpus.absolute()), fix="vlmkit curate explain CORPUS ID"
        )
    name = config.id
    row = row_of(dropped, name)
    kept = row_of(documents, name) if row is None else None
    found = row or kept
    if found is None:
        near = nearest(name, ids_of((documents, dropped), most=MOST))
        raise InputError(f"no page has the id '{name}'", where=str(config.corpus), fix=near)
    text = str(found["text"])
    values: dict[str, object] = {"id": name, "kept": row is None, "url": found["url"], "source": found["source"]}
    for key in ("step", "rule", "value", "threshold", "matched_id"):
        values[key] = None if row is None else row[key]
    match = values["matched_id"]
    other = (row_of(documents, str(match)) or row_of(dropped, str(match))) if match else None
    values["match"] = None if other is None else {"id": other["id"], "url": other["url"], "source": other["source"]}
    values["span"] = None if other is None else shared_span(text, str(other["text"]))
    values["values"] = values_of(config.corpus / FOLDER, name)
    values["text"] = text if len(text) <= SHOWN else text[:SHOWN] + "…"
    return Result(values)
