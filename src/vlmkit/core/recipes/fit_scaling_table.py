"""What an action reports, and the table that it writes where --out asks for one."""

from collections.abc import Sequence
from dataclasses import replace

from vlmkit.core.configs.fields import Action
from vlmkit.core.io.job import Job, Result
from vlmkit.core.io.tables import write_table
from vlmkit.core.scaling.account import Row


def deliver(
    job: Job,
    config: Action,
    values: dict[str, object],
    rows: Sequence[Row],
    shown: dict[str, object],
    *,
    next: str = "",
) -> Result:
    """The result of an action; with --out also its rows, as the kind of table that the action makes."""
    if config.out is None or config.dry_run:
        return Result(values, shown=shown, next=next)
    assert config.makes is not None, "an action with --out names the kind of its table"
    name = "predictions" if config.makes == "predictions" else "part-00000"
    job.begin()
    write_table(job.folder / f"{name}.parquet", rows, kind=config.makes)
    return replace(job.finish(values, next=next), shown=shown)
