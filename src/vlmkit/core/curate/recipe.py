"""Recipes: the operations that a page goes through, in order, as DCLM's YAML files list them.

A file is a list of sources, each with its `steps`; a step is `func` with its keyword arguments, and keys that begin
with `_` are directions to DCLM's own runner. The recipe of DCLM-Baseline that is built in is that file without the bans
of addresses, whose lists belong to others, and without the identification of languages, which is a stage of its own.
The other recipes that have a name are YAML files in `recipes/`, there to be copied and changed.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from vlmkit.core.curate.columns import Column, named
from vlmkit.core.curate.compare import Comparison
from vlmkit.core.curate.custom import code_of
from vlmkit.core.curate.operations import FIXES, Operation, Outcome, Page, Setting
from vlmkit.core.curate.ops import MAKERS, WRONG, make, small_page
from vlmkit.core.curate.rules import Drop, Found, judged
from vlmkit.core.errors import InputError, RunError, nearest

DCLM = "dclm"
PACKAGE, RECIPES = "vlmkit.core.curate", "recipes"
COMPARING = "exact_dedup"
LONGEST = 10  # words of the lines in which substrings are looked for


@dataclass(frozen=True)
class Step:
    """An operation of DCLM by its name, with its keyword arguments."""

    func: str
    kwargs: Mapping[str, Any]


def step(func: str, **kwargs: Any) -> Step:
    """A step."""
    return Step(func, kwargs)


BASELINE = (
    step("url_removal_modifier"),
    step("newline_removal_modifier", max_consecutive=2),
    step("page_length_filter", length_type="word", min_length=50, max_length=100_000, ignore_punctuation=True),
    step("word_length_filter", min_length=3, max_length=10),
    step("symbol_ratio_filter", max_symbol_to_word_ratio=0.1),
    step("bullet_count_filter", max_bullet_start_ratio=0.9),
    step("ellipsis_count_filter", max_ellipsis_end_ratio=0.3),
    step("alphabetic_word_ratio_filter", max_ratio=0.2),
    step("stop_word_filter", count_unique=False, min_stop_word=2),
    step("massive_web_repetition_filters"),
    step("word_counter_enricher", key="previous_word_count"),
    step("uppercase_ratio_line_modifier", max_ratio=0.5),
    step("numeric_ratio_line_modifier", max_ratio=0.999999),
    step("counter_line_modifier"),
    step("line_length_modifier", min_length=2),
    step("substring_line_modifier", banlist="items in cart", max_length=LONGEST, remove_substring_only=True),
    step("substring_line_modifier", banlist="Read more...", location="suffix", max_length=LONGEST,
         remove_substring_only=True),
    step("substring_line_modifier", banlist="Sign-in", location="prefix", max_length=LONGEST,
         remove_substring_only=True),
    step("word_removal_ratio_filter", prev_word_count_key="previous_word_count", max_removed_ratio=0.05),
)  # fmt: skip


def read_recipe(word: str) -> tuple[Step, ...]:
    """The steps of a recipe: a built-in one by its name, or a YAML file.

    Raises:
        InputError: there is neither, or the file is no recipe.
    """
    if word == DCLM:
        return BASELINE
    if word in named_recipes():
        return read_steps(resources.files(PACKAGE) / RECIPES / f"{word}.yaml")
    path = Path(word)
    if not path.is_file():
        fix = f"one of {', '.join(named_recipes())}, or a YAML file such as DCLM's"
        raise InputError(f"there is no recipe '{word}'", where="--recipe", fix=fix)
    return read_steps(path)


def named_recipes() -> list[str]:
    """The names of the recipes that are built in."""
    files = (resources.files(PACKAGE) / RECIPES).iterdir()
    return [DCLM, *sorted(one.name.removesuffix(".yaml") for one in files if one.name.endswith(".yaml"))]


def read_steps(path: Path | Traversable) -> tuple[Step, ...]:
    """The steps of a YAML file."""
    import yaml

    try:
        sources = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"not a YAML file: {error}", where=str(path), fix="mend it") from error
    return steps_of(sources, path)


def steps_of(sources: Any, path: Path | Traversable) -> tuple[Step, ...]:
    """The steps of what a YAML file says."""
    if not isinstance(sources, list) or not sources or not all(isinstance(one, dict) for one in sources):
        raise InputError("a recipe is a list of sources", where=str(path), fix="- source: NAME, with its steps below")
    if len(sources) > 1:
        names = ", ".join(str(one.get("source")) for one in sources)
        raise InputError(f"{len(sources)} sources in one recipe: {names}", where=str(path), fix="one file a source")
    rows = sources[0].get("steps")
    if not isinstance(rows, list) or not rows:
        raise InputError("the source has no steps", where=str(path), fix="steps: a list of func with its arguments")
    found = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not isinstance(row.get("func"), str):
            raise InputError(f"step {number} names no func", where=str(path), fix="- func: NAME")
        kwargs = {str(key): value for key, value in row.items() if key != "func" and not str(key).startswith("_")}
        found.append(Step(row["func"], kwargs))
    return tuple(found)


def brought_code(steps: Sequence[Step], assets: Path | None) -> dict[str, str]:
    """For each step that is not DCLM's, by its name, the digest of the file that it is in.

    Raises:
        InputError: it cannot be loaded; the step is named.
    """
    found = {}
    for number, one in enumerate(steps, start=1):
        if one.func not in MAKERS:
            try:
                found[one.func] = code_of(one.func, Setting(assets))
            except InputError as error:
                raise at_step(number, one, error) from error
    return found


def check_fixes(names: Sequence[str]) -> None:
    """Refuse faults that are not known."""
    for name in names:
        if name not in FIXES:
            raise InputError(f"there is no fault '{name}' to mend", where="--fix", fix=nearest(name, sorted(FIXES)))


def at_step(number: int, one: Step, error: InputError) -> InputError:
    """An error with the step in which it is."""
    return InputError(error.what, where=f"step {number} of the recipe, {one.func}: {error.where}", fix=error.fix)


@dataclass(frozen=True)
class Station:
    """An operation in its place: the ledger's column for each rule that it finds values of, that for whether it leaves
    anything, and whether a user brought it."""

    operation: Operation
    columns: Mapping[str, Column]
    own: str
    brought: bool

    def note(self, outcome: Outcome, notes: dict[str, float]) -> Drop | None:
        """Note every value of an outcome; the first reason to drop in it."""
        first = None
        if outcome is None or isinstance(outcome, Drop):
            first = outcome
        else:
            for found in (outcome,) if isinstance(outcome, Found) else outcome:
                first = first or found.drop()
                if found.rule in self.columns:
                    notes[self.columns[found.rule].name] = float(found.value)
        if self.brought and self.columns:
            self.mend(outcome, first, notes)
        if self.own:
            notes[self.own] = float(first is None)
        return first

    def mend(self, outcome: Outcome, drop: Drop | None, notes: dict[str, float]) -> None:
        """Note nothing of a page of which a user's step finds what the bounds of its column do not judge, and not a
        number where it drops it so."""
        (column,) = self.columns.values()
        if not isinstance(outcome, Found) or Column.of(outcome, column.name, column.stage) != column:
            notes.pop(column.name, None)
            if drop is not None:
                notes[column.name] = math.nan


class Kitchen:
    """A recipe with its operations made: every page goes through them in order.

    Steps that compare pages cut it into phases of operations that need one page alone: all pages go through a phase
    before the comparison that ends it is judged, and those that are left go through the next. `columns` are those that
    its steps have in the ledger, in order, `compared` the ones of the comparisons.

    Raises:
        InputError: an operation or an argument that is not known, a file that is not there, or steps that do not fit
            together; the step is named.
    """

    def __init__(self, steps: Sequence[Step], setting: Setting) -> None:
        self.setting = setting
        self.operations: list[Operation | Comparison] = []
        for number, one in enumerate(steps, start=1):
            try:
                self.operations.append(make(one.func, one.kwargs, setting))
            except InputError as error:
                raise at_step(number, one, error) from error
        self.comparisons = [one for one in self.operations if isinstance(one, Comparison)]
        self.columns: list[Column] = []
        self.compared: list[str] = []
        self.phases: list[list[Station]] = [[]]
        page = small_page()
        for number, (one, operation) in enumerate(zip(steps, self.operations, strict=True), start=1):
            found = self.tried(number, one, operation, page)
            taken = [column.name for column in self.columns]
            if isinstance(operation, Comparison):
                self.compared.append(named(one.func, taken))
                self.columns.append(Column.left(COMPARING, self.compared[-1], "heuristics"))
                self.phases.append([])
                continue
            columns = {rule.rule: Column.of(rule, named(rule.rule, taken), "heuristics") for rule in found}
            name = Path(one.func).name
            own = "" if columns or name.endswith("_enricher") else named(name, taken)
            self.columns += [Column.left(name, own, "heuristics")] if own else columns.values()
            self.phases[-1].append(Station(operation, columns, own, brought=one.func not in MAKERS))
        setting.differing.clear()

    def tried(self, number: int, one: Step, operation: Operation | Comparison, page: Page) -> list[Found]:
        """What a step finds on a page that was taken through those before it; a drop is none here, for the steps are
        to fit together."""
        try:
            if isinstance(operation, Comparison):
                operation.mark(page)
                return []
            outcome = operation(page)
            if outcome is None or isinstance(outcome, Drop):
                return []
            found = [outcome] if isinstance(outcome, Found) else list(outcome)
            judged(found)
            return found
        except RunError:
            return []  # an operation that a user brings may need what real pages have
        except InputError as error:
            raise at_step(number, one, error) from error
        except WRONG as error:
            what = f"{one.func} cannot take what the steps before it leave: {error}"
            raise at_step(number, one, InputError(what, where="text", fix="mend the order of the steps")) from error

    def __call__(
        self, page: Page, phase: int = 0, notes: dict[str, float] | None = None, dropped: Drop | None = None
    ) -> Drop | None:
        """Take a page, which is changed, through the steps of a phase; the first drop, or the one that it came with.

        The drop ends it, unless there are notes to be made: then the page goes on, until nothing is left of it, to a
        step that a user brought, who may not expect such a page, or to the end. Faults of DCLM's code are counted on
        pages that it would see.
        """
        if notes is None:
            for station in self.phases[phase]:
                drop = judged(station.operation(page))
                if drop is not None:
                    return drop
            return None
        first, differing = dropped, Counter(self.setting.differing)
        for station in self.phases[phase]:
            if first is not None and station.brought:
                break
            drop = station.note(station.operation(page), notes)
            if drop is not None and first is None:
                first, differing = drop, Counter(self.setting.differing)
            if drop is not None and station.own:
                break
        if first is not None:
            self.setting.differing.clear()
            self.setting.differing.update(differing)
        return first
