"""One page about a corpus: what each stage and rule kept and dropped, with examples, and from what by which settings.

It holds no clock, host name or path, so that the same inputs and settings give the same bytes; and it stays small
whatever the corpus, for every list and every text in it has an end.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmkit.core.curate.recipe import Step
from vlmkit.core.curate.survey import Rule, languages_of, rows_at, survey
from vlmkit.core.io.html import NOTHING, counted, document, number, percent, plain, table
from vlmkit.core.io.manifest import Input
from vlmkit.core.io.tables import Row

Values = Mapping[str, Any]  # what --json says of a run
EXCERPT = 240  # characters of a text
RULES, STEPS, OTHERS = 100, 300, 30  # how many rules with examples, steps, and lines of any other list are shown
FUNNEL = {"documents", "dropped", "tokens", "stages", "rules"}  # the keys of --json that the funnel itself shows
HEADINGS = {
    "differing": "Pages on which a fault of DCLM's code matters",
    "bloom": "Bloom filter",
}


@dataclass(frozen=True)
class Origin:
    """From what a corpus was made and how: inputs, settings by name, the recipe's steps, versions of packages."""

    inputs: Sequence[Input]
    settings: Values
    steps: Sequence[Step]
    versions: Mapping[str, str]


def corpus_page(values: Values, origin: Origin, *, documents: Path, dropped: Path) -> str:
    """The page as HTML: `values` are the keys of --json, the others the tables of the corpus."""
    rules = sorted(survey(dropped), key=lambda one: (-one.count, one.step, one.name))
    shown = rows_at(dropped, [place for rule in rules[:RULES] for _, place in rule.examples])
    read = pages_read(values)
    title = f"What became of {counted(read, 'page')}"
    body = [f"<h1>{title}</h1>", lead(values, read, rules), funnel(values["stages"], read), *rules_of(rules, read)]
    body += [*examples(rules[:RULES], shown), *further(values), languages(languages_of(documents))]
    body += [recipe(origin.steps), *provenance(origin)]
    return document(title, body)


def pages_read(values: Values) -> int:
    """How many pages came in, those that could not be read among them."""
    first = values["stages"][0]
    return int(first["kept"] + first["dropped"])


def lead(values: Values, read: int, rules: Sequence[Rule]) -> str:
    """What was found, in a few sentences."""
    kept = values["documents"]
    text = [f"{counted(kept, 'document')} {'is' if kept == 1 else 'are'} kept, {percent(share(kept, read))} of the "
            f"pages; {values['dropped']:,} are dropped."]  # fmt: skip
    if values.get("tokens") is not None:
        text.append(f"The documents are {counted(values['tokens'], 'token')}.")
    if rules:
        most = rules[0]
        text.append(f"Most go by <code>{plain(most.name)}</code> in {plain(most.step)}: {most.count:,}.")
    text.append("What becomes of one page: <code>vlmkit curate explain CORPUS ID</code>.")
    return f"<p>{' '.join(text)}</p>"


def funnel(stages: Sequence[Values], read: int) -> str:
    """What each stage keeps."""
    head = ["stage", "kept", "dropped", "of its pages", "kept of all", "characters", ""]
    rows = []
    for stage in stages:
        came, part = stage["kept"] + stage["dropped"], share(stage["kept"], read)
        cells = [plain(stage["name"]), number(stage["kept"]), number(stage["dropped"])]
        cells += [percent(share(stage["dropped"], came)), percent(part), number(stage.get("chars")), bar(part)]
        rows.append(cells)
    note = '<p class="dim">Characters are of the text that a stage leaves; of HTML, bytes.</p>'
    return f"<h2>Stages</h2>{table(head, rows)}{note}"


def bar(part: float) -> str:
    """A fraction as a bar."""
    width = 100 * min(max(part, 0.0), 1.0) if math.isfinite(part) else 0.0
    return f'<div class="bar"><i style="width: {width:.1f}%"></i></div>'


def rules_of(rules: Sequence[Rule], read: int) -> Iterator[str]:
    """How many pages each rule dropped."""
    if not rules:
        yield "<h2>Rules</h2><p>Nothing was dropped.</p>"
        return
    head = ["rule", "stage", "dropped", "of all pages", "bound", "values of what it dropped"]
    rows = [
        [f"<code>{plain(one.name)}</code>", plain(one.step), number(one.count), percent(share(one.count, read)),
         ends(one.bounds), NOTHING if one.step == "read" else ends(one.values)]
        for one in rules[:RULES]
    ]  # fmt: skip
    yield f"<h2>Rules</h2>{table(head, rows)}{rest(len(rules), RULES, 'rule')}"


def ends(both: tuple[float, float] | None) -> str:
    """A number, or the least and the largest of several."""
    if both is None:
        return NOTHING
    return brief(both[0]) if both[0] == both[1] else f"{brief(both[0])} to {brief(both[1])}"


def brief(value: float | None) -> str:
    """A number without zeros that say nothing."""
    if value is None or not math.isfinite(value) or 0 < abs(value) < 1e-4:
        return number(value)
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def examples(rules: Sequence[Rule], shown: Mapping[tuple[int, int], Row]) -> Iterator[str]:
    """What each rule dropped, a few pages of it."""
    if rules:
        yield "<h2>Examples</h2>"
    for rank, rule in enumerate(rules):
        items = "".join(example(shown[place]) for _, place in rule.examples)
        top = f"<summary><code>{plain(rule.name)}</code> ({number(rule.count)})</summary>"
        yield f"<details{' open' * (rank == 0)}>{top}{items}</details>"


def example(row: Row) -> str:
    """One page that was dropped."""
    value, bound = (None if row[name] is None else float(str(row[name])) for name in ("value", "threshold"))
    told = [f"<code>{plain(str(row['id']), most=100)}</code>"]
    if row["step"] == "read":
        told.append(f"at {brief(value)}")
    else:
        told.append(f"value {brief(value)}, bound {brief(bound)}")
    if row["matched_id"]:
        told.append(f"repeats <code>{plain(str(row['matched_id']), most=100)}</code>")
    told.append(plain(str(row["url"] or row["source"]), most=120))
    text = plain(str(row["text"] or ""), most=EXCERPT)
    return f'<div class="item">{" · ".join(told)}<blockquote>{text}</blockquote></div>'


def further(values: Values) -> Iterator[str]:
    """What else a run says: one table a key."""
    for key, value in values.items():
        if key in FUNNEL or not isinstance(value, Mapping) or not value:
            continue
        rows = [[plain(str(name)), cell(one)] for name, one in value.items() if name != "seconds"]
        heading = HEADINGS.get(key, key.capitalize())
        yield f"<h2>{plain(heading)}</h2>{table(['', ''], rows[:OTHERS])}{rest(len(rows), OTHERS, 'line')}"


def cell(value: object) -> str:
    """Any value of --json."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return brief(value)
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def languages(found: Mapping[str, int]) -> str:
    """In which languages the documents are."""
    if not found:
        return ""
    rows = [[plain(name), number(count), percent(share(count, sum(found.values())))] for name, count in found.items()]
    body = f"{table(['language', 'documents', 'share'], rows[:OTHERS])}{rest(len(rows), OTHERS, 'language')}"
    return f"<h2>Languages of the documents</h2>{body}"


def recipe(steps: Sequence[Step]) -> str:
    """The steps that every page went through."""
    items = []
    for one in steps[:STEPS]:
        words = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in one.kwargs.items())
        items.append(f"<li><code>{plain(one.func)}</code> {plain(words)}</li>")
    body = f"<ol>{''.join(items)}</ol>{rest(len(steps), STEPS, 'step')}"
    return f"<h2>Recipe</h2>{body}" if steps else ""


def provenance(origin: Origin) -> Iterator[str]:
    """Inputs, settings and versions."""
    inputs = sorted((Path(one.path).name, one.kind, one.content_digest) for one in origin.inputs)
    rows = [[plain(name), plain(kind), f"<code>{plain(digest)}</code>"] for name, kind, digest in inputs[:OTHERS]]
    head = ["input", "kind", "SHA-256 of its content"]
    yield f"<h2>Inputs</h2>{table(head, rows)}{rest(len(inputs), OTHERS, 'input')}"
    rows = [[plain(name), setting(value)] for name, value in origin.settings.items()]
    yield f"<h2>Settings</h2>{table(['', ''], rows)}"
    told = ", ".join(f"{name} {version}" for name, version in origin.versions.items() if version != "absent")
    yield f'<p class="dim">Made with {plain(told, most=500)}.</p>'


def setting(value: object) -> str:
    """A setting as it would be written."""
    if isinstance(value, dict):
        value = [f"{name}={one}" for name, one in value.items()]
    if isinstance(value, list | tuple):
        return plain(", ".join(map(str, value))) if value else NOTHING
    return NOTHING if value is None else plain(str(value))


def rest(count: int, most: int, what: str) -> str:
    """How many lines of a list are left out."""
    return f'<p class="dim">and {counted(count - most, f"more {what}")}</p>' if count > most else ""


def share(part: float, whole: float) -> float:
    """A fraction; not a number of nothing."""
    return part / whole if whole else math.nan
