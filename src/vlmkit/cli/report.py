"""What a person or a script sees: results on stdout, progress, warnings and errors on stderr."""

import json
import logging
import math
import os
import sys
import time
from types import TracebackType
from typing import Any

from vlmkit.core.errors import VlmkitError

SECONDS_BETWEEN_LINES = 10.0  # progress where no terminal is


class Session:
    """One action seen from outside: it carries the words --json, -q, -v, and shows what comes."""

    def __init__(self, command: str, action: str, *, json: bool, quiet: bool, verbose: bool) -> None:
        self.command, self.action, self.json = command, action, json
        self.handler = Handler(quiet=quiet or not speaks(), verbose=verbose)
        self.started = time.perf_counter()

    def __enter__(self) -> "Session":
        logger = logging.getLogger("vlmkit")
        logger.setLevel(logging.DEBUG if self.handler.verbose else logging.INFO)
        logger.propagate = False
        logger.addHandler(self.handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.handler.finish()
        logging.getLogger("vlmkit").removeHandler(self.handler)

    def show(self, result: Any) -> int:
        """Print a result; the exit code says whether a check said no."""
        self.handler.finish()
        if not speaks():
            return 0 if result.ok else 1
        if self.json:
            head: dict[str, Any] = {
                "command": self.command,
                "action": self.action,
                "artifact": str(result.artifact) if result.artifact else None,
            }
            head |= {"seconds": round(time.perf_counter() - self.started, 3)} | (
                {"reused": True} if result.reused else {}
            )
            print(dumps(head | result.values))
        else:
            render(result, time.perf_counter() - self.started)
        sys.stdout.flush()
        return 0 if result.ok else 1

    def show_config(self, values: dict[str, Any], origins: dict[str, str]) -> int:
        """Print every option with its origin, as TOML that --config reads."""
        if self.json:
            print(dumps({"config": {key: {"value": value, "origin": origins[key]} for key, value in values.items()}}))
            return 0
        for key, value in values.items():
            line = f"{key} = {toml(value)}" if value is not None else f"# {key} is not set"
            print(f"{line:50}  # {origins[key]}")
        return 0


class Handler(logging.Handler):
    """Log records on stderr: a bar on a terminal, a line now and then elsewhere, warnings always."""

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        super().__init__()
        self.quiet, self.verbose = quiet, verbose
        self.terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.bars: Any = None
        self.tasks: dict[str, Any] = {}
        self.begun: dict[str, float] = {}
        self.last: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        event = getattr(record, "progress", None)
        if event is not None:
            if not self.quiet:
                self.bar(event) if self.terminal else self.line(event)
        elif record.levelno >= logging.WARNING:
            self.say(f"warning: {record.getMessage()}")
        elif not self.quiet and (record.levelno >= logging.INFO or self.verbose):
            self.say(record.getMessage())

    def say(self, text: str) -> None:
        """A line on stderr, above the bars if there are any."""
        if self.bars is not None:
            self.bars.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def bar(self, event: Any) -> None:
        """Progress on a terminal."""
        if self.bars is None:
            from rich import progress
            from rich.console import Console

            columns = (
                progress.TextColumn("{task.description}"), progress.BarColumn(),
                progress.TextColumn("{task.fields[count]}"),
                progress.TextColumn("[dim]{task.fields[extra]}"), progress.TimeRemainingColumn(),
            )  # fmt: skip
            self.bars = progress.Progress(*columns, console=Console(stderr=True), refresh_per_second=4)
            self.bars.start()
        fields = {"count": count(event), "extra": extras(event)}
        if event.task not in self.tasks:
            self.tasks[event.task] = self.bars.add_task(event.task, total=event.total, **fields)
        self.bars.update(self.tasks[event.task], completed=event.done, total=event.total, **fields)

    def line(self, event: Any) -> None:
        """Progress where no terminal is: a line now and then, with the time that is left."""
        now = time.monotonic()
        begun = self.begun.setdefault(event.task, now)
        ended = event.total is not None and event.done >= event.total
        if now - self.last.get(event.task, begun) < SECONDS_BETWEEN_LINES and not (ended and event.task in self.last):
            self.last.setdefault(event.task, now)
            return
        self.last[event.task] = now
        spent = now - begun
        left = (
            f", {spent * (event.total - event.done) / event.done:.0f} s left"
            if event.total and event.done and not ended
            else ""
        )
        self.say(f"{event.task}: {count(event)} {extras(event)}{left}".rstrip())

    def finish(self) -> None:
        """Take the bars away."""
        if self.bars is not None:
            self.bars.stop()
            self.bars = None
            self.tasks.clear()


def wished(manner: str) -> bool:
    """Whether the environment asks for --json, --quiet or --verbose."""
    return os.environ.get(f"VLMKIT_{manner.upper()}", "").lower() in ("1", "true", "yes")


def count(event: Any) -> str:
    """How much of a task is done."""
    total = f"/{event.total:,.0f}" if event.total is not None else ""
    return f"{event.done:,.0f}{total} {event.unit}".rstrip()


def extras(event: Any) -> str:
    """The further values of a progress event."""
    return "  ".join(f"{name} {number(value)}" for name, value in event.values.items())


def fail(error: VlmkitError, *, as_json: bool) -> int:
    """Print an error: three lines on stderr, and one object on stdout when JSON was asked for."""
    print(f"error: {error.what}", file=sys.stderr)
    if error.where:
        print(f"  where: {error.where}", file=sys.stderr)
    if error.fix:
        print(f"  fix: {error.fix}", file=sys.stderr)
    if as_json and speaks():
        print(
            dumps(
                {
                    "error": {
                        "code": error.code,
                        "kind": error.kind,
                        "what": error.what,
                        "where": error.where,
                        "fix": error.fix,
                    }
                }
            )
        )
    sys.stdout.flush()
    return error.code


def speaks() -> bool:
    """Whether this process reports: of several that torchrun has started, the first one does."""
    return os.environ.get("RANK", "0") == "0"


def dumps(value: object) -> str:
    """One line of JSON; what is not a finite number is null."""
    return json.dumps(clean(value), ensure_ascii=False, allow_nan=False, default=str)


def clean(value: Any) -> Any:
    """A value without NaN and infinities, paths as text, dictionary keys as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): clean(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [clean(one) for one in value]
    return value


def toml(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value) if isinstance(value, bool | int | float | str) else json.dumps(str(value))


def number(value: Any) -> str:
    """A value in a table cell, short and aligned."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and 1e3 <= abs(value) < 1e15 else f"{value:.4g}"
    return ", ".join(number(one) for one in value) if isinstance(value, list | tuple) else str(value)


def render(result: Any, seconds: float) -> None:
    """A result as tables for people."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    section(console, "", result.values if result.shown is None else result.shown)
    if result.artifact:
        what = "already there, made by the same words:" if result.reused else f"done in {seconds:.1f} s:"
        console.print(f"{what} {result.artifact}", style="bold", markup=False)
    if result.next:
        console.print(f"next: {result.next}", markup=False)


def section(console: Any, title: str, values: dict[str, Any]) -> None:
    """Scalars as two columns; lists and dictionaries of records as a table each; the rest nested below."""
    scalars = {key: value for key, value in values.items() if not nested(value) and value not in ([], {})}
    if scalars:
        draw(console, title, ["", ""], [[key, number(value)] for key, value in scalars.items()], head=False)
    for key, value in values.items():
        name = f"{title} {key}".strip()
        if records(value):
            rows = value if isinstance(value, list) else [{"": label, **row} for label, row in value.items()]
            columns = list(
                dict.fromkeys(column for row in rows for column in row if not all(nested(r.get(column)) for r in rows))
            )
            draw(console, name, columns, [[number(row.get(column)) for column in columns] for row in rows])
            for row in rows:
                deeper = {k: v for k, v in row.items() if nested(v)}
                if deeper:
                    section(console, str(next(iter(row.values()))), deeper)
        elif nested(value):
            section(console, name, value)


def nested(value: Any) -> bool:
    """Whether a value is no single cell: a dictionary, or a list of them."""
    return (isinstance(value, dict) and bool(value)) or records(value)


def records(value: Any) -> bool:
    """Whether a value is a list or dictionary of dictionaries."""
    inside = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    return bool(inside) and all(isinstance(one, dict) for one in inside)


def draw(console: Any, title: str, columns: list[str], rows: list[list[str]], *, head: bool = True) -> None:
    """One table, numbers to the right; piped output is never cut to a width."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title or None,
        title_justify="left",
        show_header=head,
        box=box.SIMPLE_HEAD if head else None,
        pad_edge=False,
    )
    for place, column in enumerate(columns):
        cells = [row[place] for row in rows]
        numeric = all(cell == "–" or cell[:1].isdigit() or cell[:1] in "-+." for cell in cells)
        table.add_column(
            column, justify="right" if numeric and place else "left", overflow="fold", no_wrap=not console.is_terminal
        )
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    if not console.is_terminal:
        console.width = max(console.width, 4000)
    console.print(table)
