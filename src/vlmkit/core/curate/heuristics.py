"""The chain of heuristic rules in the order of DCLM-Baseline (`dclm_baseline_refinedweb.yaml`, steps 7 and 9 to 25)."""

import re
from collections.abc import Callable
from functools import partial

from vlmkit.core.curate import rules
from vlmkit.core.curate.repetition import massive_web_repetition_filters
from vlmkit.core.curate.rules import Drop
from vlmkit.core.curate.words import count_words

Rule = Callable[[str], str | Drop]

FILTERS: tuple[Rule, ...] = (
    rules.newline_removal_modifier,
    rules.page_length_filter,
    rules.word_length_filter,
    rules.symbol_ratio_filter,
    rules.bullet_count_filter,
    rules.ellipsis_count_filter,
    rules.alphabetic_word_ratio_filter,
    rules.stop_word_filter,
    massive_web_repetition_filters,
)
SUBSTRINGS = (  # in "Read more..." the recipe leaves the dots unescaped: each stands for any character
    re.compile(r"\s?(?:items in cart)", re.IGNORECASE),
    re.compile(r"\s?(?:read more...)$", re.IGNORECASE),
    re.compile(r"^(?:sign-in)\s?", re.IGNORECASE),
)
LINES: tuple[Rule, ...] = (
    rules.uppercase_ratio_line_modifier,
    rules.numeric_ratio_line_modifier,
    rules.counter_line_modifier,
    rules.line_length_modifier,
    *(partial(rules.substring_line_modifier, pattern=pattern) for pattern in SUBSTRINGS),
)


def heuristics(text: str) -> str | Drop:
    """Apply all rules in order; the text that is left, or the first drop."""
    cleaned = chain(text, FILTERS)
    if isinstance(cleaned, Drop):
        return cleaned
    previous = count_words(cleaned)
    shorter = chain(cleaned, LINES)
    if isinstance(shorter, Drop):
        return shorter
    return rules.word_removal_ratio_filter(shorter, previous_word_count=previous)


def chain(text: str, steps: tuple[Rule, ...]) -> str | Drop:
    """Apply rules one after another until one drops the text."""
    for rule in steps:
        result = rule(text)
        if isinstance(result, Drop):
            return result
        text = result
    return text
