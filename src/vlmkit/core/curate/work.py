"""One part of the work: pages in, kept and dropped rows out, with what deduplication needs to know of each.

A page goes through extraction, language identification and the heuristic rules, and leaves at the first that drops it.
Nothing here depends on other pages, so parts can be worked on in any order, anywhere.
"""

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vlmkit.core.curate.columns import Column, named
from vlmkit.core.curate.extract import EXTRACTORS
from vlmkit.core.curate.language import Identifier
from vlmkit.core.curate.operations import Page as RecipePage
from vlmkit.core.curate.operations import Setting
from vlmkit.core.curate.quality import GOOD, Classifier
from vlmkit.core.curate.recipe import BASELINE, Kitchen, Step
from vlmkit.core.curate.rules import Drop, Found
from vlmkit.core.io.encodings import clean
from vlmkit.core.io.inflate import Damage
from vlmkit.core.io.web import Page, Reading

Row = dict[str, object]
LANGUAGE, QUALITY = "language_filter", "quality_filter"


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
    ledger: bool = True


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
    as its recipe left it, while it waits for a comparison with all others; the values that rules have of it."""

    row: Row
    given: bool
    origin: str = ""
    page: RecipePage | None = None
    notes: dict[str, float] = field(default_factory=dict)


@dataclass
class Dropped:
    """A page that is dropped, as a row of the drop log, with the values that rules have of it."""

    row: Row
    notes: dict[str, float] = field(default_factory=dict)


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
        self.columns = [Column(LANGUAGE, "language", LANGUAGE, low=settings.language_threshold, strict=True)]
        self.columns = (self.columns if self.identifier else []) + (self.kitchen.columns if self.kitchen else [])
        self.quality = named(QUALITY, [column.name for column in self.columns])

    def pages(self, pages: Iterable[Page | Damage], tally: Tally) -> Iterator[Kept | Dropped]:
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
                yield Dropped(damage_row(page), {page.rule: float(page.offset)})
            else:
                yield self.page(page, tally)
                self.note_differing(tally)

    def note_differing(self, tally: Tally) -> None:
        """Count the pages on which a fault of DCLM's code mattered since the last time."""
        if self.kitchen:
            tally.differing += self.kitchen.setting.differing
            self.kitchen.setting.differing.clear()

    def page(self, page: Page, tally: Tally) -> Kept | Dropped:
        """One page through the stages."""
        row: Row = {
            "id": page.id or page_id(page),
            "text": "",
            "url": page.url,
            "source": page.source,
            "metadata": json.dumps(page.metadata, ensure_ascii=False, sort_keys=True, default=str),
        }
        row = {name: clean(value) if isinstance(value, str) else value for name, value in row.items()}
        stage = "read"
        if "extract" in self.settings.stages:
            tally.kept["read"] += 1
            tally.chars["read"] += len(page.html or page.text or "")
            stage = "extract"
        begun = time.perf_counter()
        text = self.text_of(page)
        begun = tally.spend(stage, begun)
        if isinstance(text, Drop):
            tally.drop(stage, text.rule)
            return Dropped(dropped_row(row, stage, text), {text.rule: float(text.value)})
        row["text"] = text
        kept = Kept(row, page.id is not None, page.given)
        leave(tally, stage, text)
        drop = self.in_language(kept, tally) if self.identifier else None
        if drop is not None and not self.settings.ledger:
            return Dropped(dropped_row(row, "language", drop))
        return self.cook(kept, self.recipe_page(page, row), tally, phase=0, dropped=drop)

    def recipe_page(self, page: Page, row: Row) -> RecipePage:
        """A page as the steps of a recipe see it."""
        url = str(row["url"] or "")
        waits = self.kitchen is not None and self.kitchen.comparisons
        metadata = json.loads(str(row["metadata"])) if waits else page.metadata
        return {"text": row["text"], "url": url, "metadata": {"WARC-Target-URI": url, **metadata}, "id": row["id"]}

    def cook(
        self, kept: Kept, page: RecipePage, tally: Tally, *, phase: int, dropped: Drop | None = None
    ) -> Kept | Dropped:
        """A page through a phase of the recipe: dropped, waiting for the comparison after it, or kept.

        A page that the stage before dropped comes for the values that the rules have of it.
        """
        drop, stage, waits = dropped, "language", False
        if self.kitchen:
            begun = time.perf_counter()
            drop = self.kitchen(page, phase, kept.notes if self.settings.ledger else None, dropped)
            tally.spend("heuristics", begun)
            waits = phase < len(self.kitchen.comparisons)
            if drop is not None and dropped is None:
                stage = "heuristics"
                tally.drop(stage, drop.rule)
        text = "\n".join(page["text"]) if isinstance(page["text"], list) else str(page["text"])
        if drop is not None:
            return self.dropped(kept, stage, drop, "" if waits or not self.settings.ledger else text, tally)
        if waits:
            return replace(kept, page=page)
        kept.row["text"] = text
        if self.kitchen:
            leave(tally, "heuristics", text)
        return self.rated(kept, text, tally)

    def dropped(self, kept: Kept, stage: str, drop: Drop, left: str, tally: Tally) -> Dropped:
        """A page that is dropped, of which the steps behind the drop would leave a text, or none."""
        if left:
            self.rated(kept, left, tally)
        row = dropped_row(kept.row, stage, drop)
        return Dropped(row | {"left": left} if left not in ("", row["text"]) else row, kept.notes)

    def alone(self, found: Kept | Dropped, tally: Tally) -> Kept | Dropped:
        """A page that waits for a comparison, taken on through all phases as if it repeated no other."""
        phase = 0
        while isinstance(found, Kept) and found.page is not None:
            phase += 1
            found = self.cook(replace(found, page=None), found.page, tally, phase=phase)
        return found

    def rated(self, kept: Kept, text: str, tally: Tally) -> Kept:
        """A page with the quality of its text, where that is asked for."""
        if self.classifier:
            begun = time.perf_counter()
            kept.row["quality_score"] = kept.notes[self.quality] = self.classifier.score(text)
            tally.spend("quality", begun)
        return kept

    def in_language(self, kept: Kept, tally: Tally) -> Drop | None:
        """Note the likeliest of the wanted languages; the drop of a page that is in none of them."""
        assert self.identifier is not None
        begun, row = time.perf_counter(), kept.row
        row["language"], score = self.identifier.likeliest(str(row["text"]), wanted=self.settings.languages)
        row["language_score"] = kept.notes[LANGUAGE] = score
        drop = Found(LANGUAGE, score, low=self.settings.language_threshold, strict=True).drop()
        tally.spend("language", begun)
        if drop is None:
            leave(tally, "language", str(row["text"]))
        else:
            tally.drop("language", drop.rule)
        return drop

    def text_of(self, page: Page) -> str | Drop:
        """The text that a page brings, or the main text of its HTML."""
        if page.html is not None:
            return self.extract(page.html, page.charset)
        text = clean(page.text or "")
        return text if text.strip() else Drop("empty_text", 0, 1)


def leave(tally: Tally, stage: str, text: str) -> None:
    """Count a page that a stage keeps, with the text that it leaves."""
    tally.kept[stage] += 1
    tally.chars[stage] += len(text)


def page_id(page: Page) -> str:
    """An id made of a page's source and its content as it came."""
    content = page.html if page.html is not None else (page.text or "").encode("utf-8", "surrogatepass")
    return hashlib.blake2b(page.source.encode("utf-8", "surrogatepass") + b"\0" + content, digest_size=16).hexdigest()


def dropped_row(row: Row, step: str, drop: Drop, *, matched_id: str | None = None) -> Row:
    """A row of the drop log for a document: all that `documents` would have of it, and why it is not there."""
    value = None if math.isnan(drop.value) else float(drop.value)
    why = {"step": step, "rule": drop.rule, "value": value, "threshold": float(drop.threshold)}
    return {"id": row["id"], **why, "matched_id": matched_id} | row


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
