"""One part of the work: pages in, kept and dropped rows out, with what deduplication needs to know of each.

A page goes through extraction, language identification and the heuristic rules, and leaves at the first that drops it.
Nothing here depends on other pages, so parts can be worked on in any order, anywhere.
"""

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vlmkit.core.curate.extract import EXTRACTORS
from vlmkit.core.curate.language import Identifier
from vlmkit.core.curate.operations import Page as RecipePage
from vlmkit.core.curate.operations import Setting
from vlmkit.core.curate.quality import GOOD, Classifier
from vlmkit.core.curate.recipe import BASELINE, Kitchen, Step
from vlmkit.core.curate.rules import Drop
from vlmkit.core.io.encodings import clean
from vlmkit.core.io.inflate import Damage
from vlmkit.core.io.web import Page, Reading

Row = dict[str, object]


@dataclass(frozen=True)
class Settings:
    """What decides what happens to a page."""

    stages: tuple[str, ...]
    extractor: str
    languages: tuple[str, ...]
    language_threshold: float
    language_model: Path | None
    reading: Reading
    dedup: tuple[str, ...] = ()
    recipe: tuple[Step, ...] = BASELINE
    assets: Path | None = None
    fixes: tuple[str, ...] = ()
    quality_model: Path | None = None
    quality_label: str = GOOD


@dataclass
class Tally:
    """What happened so far: pages kept by each stage, drops by stage and rule, pages on which a fault of DCLM's code
    matters by its name, characters of text that each stage leaves (bytes, where it is HTML still), seconds of work by
    stage."""

    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    differing: Counter[str] = field(default_factory=Counter)
    chars: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Add what another tally counted."""
        self.kept += other.kept
        self.dropped += other.dropped
        self.rules += other.rules
        self.differing += other.differing
        self.chars += other.chars
        for stage, seconds in other.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def drop(self, stage: str, rule: str) -> None:
        """Count one drop."""
        self.dropped[stage] += 1
        self.rules[rule] += 1

    def spend(self, stage: str, since: float) -> float:
        """Count the seconds since a moment for a stage; the moment now."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - since
        return now

    def funnel(self, stages: Sequence[str]) -> dict[str, object]:
        """What each stage kept, dropped and left of the text, and how long it worked; the drops of each rule, most
        first."""
        found: list[dict[str, object]] = []
        for n in ("read", *stages):
            seconds = round(self.seconds.get(n, 0.0), 3)
            counts = {
                "kept": self.kept[n],
                "dropped": self.dropped[n],
                "chars": self.chars.get(n, None if self.kept[n] else 0),
            }
            found.append({"name": n, **counts, "seconds": seconds})
        rules = dict(sorted(self.rules.items(), key=lambda rule: (-rule[1], rule[0])))
        return {"stages": found, "rules": rules, "differing": dict(sorted(self.differing.items()))}


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies."""
    found = Tally()
    for tally in tallies:
        found.add(tally)
    return found


@dataclass
class Kept:
    """A page that is kept so far, as a row of documents, whether its id was given, and the input it came with; `page`,
    as its recipe left it, while it waits for a comparison with all others."""

    row: Row
    given: bool
    origin: str = ""
    page: RecipePage | None = None


class Worker:
    """The settings, and the language identifier once it is loaded."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        wanted = "language" in settings.stages and settings.language_model
        self.identifier = Identifier(wanted) if wanted else None
        self.extract = EXTRACTORS[settings.extractor]
        rated = "quality" in settings.stages and settings.quality_model
        self.classifier = Classifier(rated, label=settings.quality_label) if rated else None
        setting = Setting(settings.assets, settings.language_model, frozenset(settings.fixes))
        self.kitchen = Kitchen(settings.recipe, setting) if "heuristics" in settings.stages else None

    def pages(self, pages: Iterable[Page | Damage], tally: Tally) -> Iterator[Kept | Row]:
        """Each page as a kept document or as a row of the drop log, in order."""
        source = iter(pages)
        while True:
            begun = time.perf_counter()
            page = next(source, None)
            tally.spend("read", begun)
            if page is None:
                return
            if isinstance(page, Damage):
                tally.drop("read", page.rule)
                yield damage_row(page)
            else:
                yield self.page(page, tally)
                self.note_differing(tally)

    def note_differing(self, tally: Tally) -> None:
        """Count the pages on which a fault of DCLM's code mattered since the last time."""
        if self.kitchen:
            tally.differing += self.kitchen.setting.differing
            self.kitchen.setting.differing.clear()

    def page(self, page: Page, tally: Tally) -> Kept | Row:
        """One page through the stages."""
        row: Row = {
            "id": page.id or page_id(page),
            "text": "",
            "url": page.url,
            "source": page.source,
            "metadata": json.dumps(page.metadata, ensure_ascii=False, sort_keys=True, default=str),
        }
        row = {name: clean(value) if isinstance(value, str) else value for name, value in row.items()}
        for stage, step in self.steps(page, row):
            begun = time.perf_counter()
            result = step(str(row["text"]))
            tally.spend(stage, begun)
            if isinstance(result, Drop):
                tally.drop(stage, result.rule)
                return dropped_row(row, stage, result)
            tally.kept[stage] += 1
            tally.chars[stage] += len(result or page.html or page.text or "")
            row["text"] = result
        kept = Kept(row, page.id is not None, page.given)
        return self.cook(kept, self.recipe_page(page, row), tally, phase=0) if self.kitchen else self.rated(kept, tally)

    def recipe_page(self, page: Page, row: Row) -> RecipePage:
        """A page as the steps of a recipe see it."""
        assert self.kitchen is not None
        url = str(row["url"] or "")
        metadata = json.loads(str(row["metadata"])) if self.kitchen.comparisons else page.metadata
        return {"text": row["text"], "url": url, "metadata": {"WARC-Target-URI": url, **metadata}, "id": row["id"]}

    def cook(self, kept: Kept, page: RecipePage, tally: Tally, *, phase: int) -> Kept | Row:
        """A page through a phase of the recipe: dropped, waiting for the comparison after it, or kept."""
        assert self.kitchen is not None
        begun = time.perf_counter()
        drop = self.kitchen(page, phase)
        tally.spend("heuristics", begun)
        if drop is not None:
            tally.drop("heuristics", drop.rule)
            return dropped_row(kept.row, "heuristics", drop)
        if phase < len(self.kitchen.comparisons):
            return replace(kept, page=page)
        tally.kept["heuristics"] += 1
        left = page["text"]
        kept.row["text"] = "\n".join(left) if isinstance(left, list) else str(left)
        tally.chars["heuristics"] += len(str(kept.row["text"]))
        return self.rated(kept, tally)

    def alone(self, found: Kept | Row, tally: Tally) -> Kept | Row:
        """A page that waits for a comparison, taken on through all phases as if it repeated no other."""
        phase = 0
        while isinstance(found, Kept) and found.page is not None:
            phase += 1
            found = self.cook(replace(found, page=None), found.page, tally, phase=phase)
        return found

    def rated(self, kept: Kept, tally: Tally) -> Kept:
        """A kept page with its quality, where that is asked for."""
        if self.classifier:
            begun = time.perf_counter()
            kept.row["quality_score"] = self.classifier.score(str(kept.row["text"]))
            tally.spend("quality", begun)
        return kept

    def steps(self, page: Page, row: Row) -> Iterator[tuple[str, Callable[[str], str | Drop]]]:
        """The stages that a page goes through before its recipe, in order."""
        stages = self.settings.stages
        if "extract" in stages:
            yield "read", lambda text: text
        yield "extract" if "extract" in stages else "read", lambda _: self.text_of(page)
        if self.identifier and "language" in stages:
            yield "language", lambda text: self.in_language(text, row)

    def text_of(self, page: Page) -> str | Drop:
        """The text that a page brings, or the main text of its HTML."""
        if page.html is not None:
            return self.extract(page.html, page.charset)
        text = clean(page.text or "")
        return text if text.strip() else Drop("empty_text", 0, 1)

    def in_language(self, text: str, row: Row) -> str | Drop:
        """The text if it is in a wanted language; the language is noted."""
        assert self.identifier is not None
        settings = self.settings
        found = self.identifier.judge(text, wanted=settings.languages, threshold=settings.language_threshold)
        if isinstance(found, Drop):
            return found
        row["language"], row["language_score"] = found
        return text


def page_id(page: Page) -> str:
    """An id made of a page's source and its content as it came."""
    content = page.html if page.html is not None else (page.text or "").encode("utf-8", "surrogatepass")
    return hashlib.blake2b(page.source.encode("utf-8", "surrogatepass") + b"\0" + content, digest_size=16).hexdigest()


def dropped_row(row: Row, step: str, drop: Drop, *, matched_id: str | None = None) -> Row:
    """A row of the drop log for a document."""
    return {
        "id": row["id"],
        "step": step,
        "rule": drop.rule,
        "value": None if math.isnan(drop.value) else float(drop.value),
        "threshold": float(drop.threshold),
        "matched_id": matched_id,
        "text": row["text"],
        "url": row["url"],
        "source": row["source"],
    }


def damage_row(damage: Damage) -> Row:
    """A row of the drop log for something that could not be read: its place as id and value, the reason as text."""
    return {
        "id": clean(f"{damage.source}@{damage.offset}"),
        "step": "read",
        "rule": damage.rule,
        "value": float(damage.offset),
        "threshold": None,
        "matched_id": None,
        "text": clean(damage.reason),
        "url": None,
        "source": clean(damage.source),
    }
