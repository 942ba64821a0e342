"""DCLM's operations by their own names and keyword arguments, as its recipes call them.

`get(name)(**kwargs)` gives a callable that takes a page, a dictionary with `text` and what else is known of it, and
returns the pages that are left of it: none, or the page itself, changed in place. Inside vlmkit an operation returns
what it found instead, so that the log and the ledger can say why.
"""

import contextlib
import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vlmkit.core.curate import lines, modifiers, operations, repetition, rules, scoring
from vlmkit.core.curate.compare import Comparison, exact_dedup
from vlmkit.core.curate.custom import custom, registered_names
from vlmkit.core.curate.operations import Maker, Operation, Outcome, Page, Setting, applied
from vlmkit.core.curate.rules import judged
from vlmkit.core.errors import InputError, RunError, nearest

WRONG = (TypeError, ValueError, LookupError, AttributeError, re.error)  # what wrong arguments end in


def get(name: str) -> Callable[..., Callable[[Page], list[Page]]]:
    """DCLM's operation of that name: takes its keyword arguments, gives a callable from a page to the pages left.

    Raises:
        InputError: there is no such operation; when called, no such keyword argument, or a wrong one.
    """
    find(name)

    def made(**kwargs: Any) -> Callable[[Page], list[Page]]:
        operation = make(name, kwargs, Setting())

        def pages(page: Page) -> list[Page]:
            return [page] if judged(operation(page)) is None else []

        return pages

    return made


def find(name: str) -> Maker:
    """What makes the operation of a name."""
    maker = MAKERS.get(name) or custom(name)
    if maker is None:
        fix = nearest(name, sorted([*MAKERS, *registered_names()]))
        raise InputError(f"there is no operation '{name}'", where="func", fix=fix)
    return maker


def make(name: str, kwargs: Mapping[str, Any], setting: Setting) -> Operation | Comparison:
    """An operation with its keyword arguments, or a step that compares pages.

    Raises:
        InputError: an argument that it does not know, that is missing or wrong, or a file that is not there.
    """
    maker = find(name)
    known = arguments(maker)
    for word in kwargs:
        if known is not None and word not in known:
            raise InputError(f"{name} takes no '{word}'", where=name, fix=nearest(word, known))
    try:
        operation = maker(setting, **kwargs)
        with contextlib.suppress(InputError, RunError):  # what earlier steps note, and pages have, is not there
            judged(operation(small_page()))
    except WRONG as error:
        raise InputError(f"{name}: {error}", where=name, fix=f"it takes {', '.join(known or kwargs)}") from error
    return operation


def small_page() -> Page:
    """A page to try operations on, so that an argument of another type is told before the first document."""
    url = "http://a.org"
    return {"text": "one two\nthree", "url": url, "metadata": {"WARC-Target-URI": url}}


def arguments(maker: Maker) -> list[str] | None:
    """The keyword arguments that an operation takes; None where it hands others on."""
    wrapped = getattr(maker, "rule", None)
    found = [*inspect.signature(wrapped or maker).parameters.values()]
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in found):
        return None
    return [one.name for one in found[1:]]


def on_text(rule: Callable[..., str | Outcome]) -> Maker:
    """The maker of a rule that looks at the text alone."""

    def maker(setting: Setting, **kwargs: Any) -> Operation:
        del setting
        inspect.signature(rule).bind("", **kwargs)  # a missing or unknown argument is told now
        return applied(partial(rule, **kwargs) if kwargs else rule)

    maker.rule = rule  # type: ignore[attr-defined]
    return maker


ON_TEXT = (
    modifiers.newline_removal_modifier, modifiers.uppercase_ratio_line_modifier, modifiers.numeric_ratio_line_modifier,
    modifiers.counter_line_modifier, modifiers.line_length_modifier, modifiers.word_length_modifier,
    modifiers.citation_removal_modifier, modifiers.punctuation_line_modifier, modifiers.within_page_dedup,
    rules.word_length_filter, rules.symbol_ratio_filter, rules.bullet_count_filter, rules.ellipsis_count_filter,
    rules.alphabetic_word_ratio_filter, rules.stop_word_filter, repetition.massive_web_repetition_filters,
    repetition.repetition_filter, lines.line_end_filter, lines.repeated_line_filter, lines.short_line_filter,
    lines.symbol_share_filter,
)  # fmt: skip
ON_PAGES = (
    operations.page_length_filter, operations.substring_filter, operations.substring_line_modifier,
    operations.url_substring_filter, operations.url_removal_modifier, operations.move_url_modifier,
    operations.key_name_modifier, operations.split_lines_modifier, operations.join_lines_modifier,
    operations.word_counter_enricher, operations.line_counter_enricher, operations.word_removal_ratio_filter,
    operations.detect_lang_whole_page_enricher, operations.language_filter, operations.quality_filter,
    lines.line_sentence_filter, scoring.classify_fasttext_hq_prob_enricher, scoring.fasttext_filter,
)  # fmt: skip
MAKERS: dict[str, Maker] = {rule.__name__: on_text(rule) for rule in ON_TEXT}
MAKERS |= {maker.__name__: maker for maker in ON_PAGES}
MAKERS["exact_dedup"] = exact_dedup
