"""The heuristic rules of DCLM-Baseline: what is measured on a page, and the bounds outside of which it is dropped.

A rule takes a text and gives the text back, unchanged or changed, or a `Drop` that says which rule, what was measured
and the bound. Names, definitions, bounds and edge cases are those of DCLM (Li et al. 2024, "DataComp-LM";
`dclm_baseline_refinedweb.yaml`), down to which white space separates words and which bound is strict.
"""

import math
import re
from typing import NamedTuple

from vlmkit.core.curate.words import count_words

BULLETS = ("●", "•", "*", "-")
ELLIPSES = ("...", ". . .", "…")
SYMBOLS = ("#", *ELLIPSES)
STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
COUNTERS = (
    "likes shares comments retweets reposts quotes bookmarks upvotes downvotes downloads views followers"
).replace(" ", "|")
COUNTER_LINE = re.compile(rf"^\W*\d(?:,|\.|\d)*(?:K|k|M|m|B|b)?\s+(?:{COUNTERS})\W*$")


class Drop(NamedTuple):
    """Why a document is dropped: the rule, the value measured on it, and the bound that the value is outside of."""

    rule: str
    value: float
    threshold: float


def lines_of(text: str) -> list[str]:
    """Lines between line feeds, stripped, without empty ones."""
    return [line for raw in text.split("\n") if (line := raw.strip())]


def outside(value: float, low: float, high: float) -> float | None:
    """The bound that a value is outside of, or None; not a number is outside of the lower bound."""
    return high if value > high else None if value >= low else low


def bounded(text: str, rule: str, value: float, low: float, high: float) -> str | Drop:
    """The text if its value lies within inclusive bounds."""
    bound = outside(value, low, high)
    return text if bound is None else Drop(rule, value, bound)


def page_length_filter(text: str, *, min_length: int = 50, max_length: int = 100_000) -> str | Drop:
    """Keep pages of 50 to 100,000 words, both included."""
    return bounded(text, "page_length_filter", count_words(text), min_length, max_length)


def word_length_filter(text: str, *, min_length: float = 3, max_length: float = 10) -> str | Drop:
    """Keep pages whose words have 3 to 10 characters on average, both included."""
    words = text.split()
    mean = sum(map(len, words)) / len(words) if words else math.nan
    return bounded(text, "word_length_filter", mean, min_length, max_length)


def symbol_ratio_filter(text: str, *, max_symbol_to_word_ratio: float = 0.1) -> str | Drop:
    """Drop pages with more than one `#` or ellipsis for ten words."""
    words = len(text.split())
    ratio = sum(map(text.count, SYMBOLS)) / words if words else math.nan
    return bounded(text, "symbol_ratio_filter", ratio, 0, max_symbol_to_word_ratio)


def bullet_count_filter(text: str, *, max_bullet_start_ratio: float = 0.9) -> str | Drop:
    """Drop pages of which more than nine lines in ten start with a bullet."""
    lines = lines_of(text)
    count = sum(line.startswith(BULLETS) for line in lines)
    if count > max_bullet_start_ratio * len(lines):
        return Drop("bullet_count_filter", count / len(lines), max_bullet_start_ratio)
    return text


def ellipsis_count_filter(text: str, *, max_ellipsis_end_ratio: float = 0.3) -> str | Drop:
    """Drop pages of which more than three lines in ten end in an ellipsis."""
    lines = lines_of(text)
    count = sum(line.endswith(ELLIPSES) for line in lines)
    if count > max_ellipsis_end_ratio * len(lines):
        return Drop("ellipsis_count_filter", count / len(lines), max_ellipsis_end_ratio)
    return text


def alphabetic_word_ratio_filter(text: str, *, max_ratio: float = 0.2) -> str | Drop:
    """Drop pages of which more than one word in five holds no letter."""
    words = text.split()
    bare = sum(not any(map(str.isalpha, word)) for word in words)
    return bounded(text, "alphabetic_word_ratio_filter", bare / len(words) if words else math.nan, 0, max_ratio)


def stop_word_filter(text: str, *, min_stop_word: int = 2) -> str | Drop:
    """Drop pages with fewer than two occurrences of the, be, to, of, and, that, have, with."""
    count = sum(word.lower() in STOP_WORDS for word in text.split())
    return bounded(text, "stop_word_filter", count, min_stop_word, math.inf)


def word_removal_ratio_filter(text: str, *, previous_word_count: int, max_removed_ratio: float = 0.05) -> str | Drop:
    """Drop pages that lost more than one word in twenty to the rules that change text."""
    removed = (previous_word_count - count_words(text)) / previous_word_count if previous_word_count else 1.0
    return bounded(text, "word_removal_ratio_filter", removed, -math.inf, max_removed_ratio)


def newline_removal_modifier(text: str, *, max_consecutive: int = 2) -> str | Drop:
    """Shorten runs of more than two line feeds to two."""
    return re.sub(rf"\n{{{max_consecutive + 1},}}", "\n" * max_consecutive, text)


def uppercase_ratio_line_modifier(text: str, *, max_ratio: float = 0.5) -> str | Drop:
    """Remove lines of which more than half the characters are upper-case."""
    kept = [line for line in text.split("\n") if not line or sum(map(str.isupper, line)) / len(line) <= max_ratio]
    return remaining("uppercase_ratio_line_modifier", "\n".join(kept).strip())


def numeric_ratio_line_modifier(text: str, *, max_ratio: float = 0.999999) -> str | Drop:
    """Remove lines of digits alone."""
    kept = [line for line in text.split("\n") if not line or sum(map(str.isdigit, line)) / len(line) <= max_ratio]
    return remaining("numeric_ratio_line_modifier", "\n".join(kept).strip())


def counter_line_modifier(text: str) -> str | Drop:
    """Remove lines that only count, such as "3 likes"."""
    kept = [line for line in text.split("\n") if not COUNTER_LINE.search(line.lower())]
    return remaining("counter_line_modifier", "\n".join(kept).strip())


def line_length_modifier(text: str, *, min_length: int = 2) -> str | Drop:
    """Remove lines of a single word, or of white space; empty lines stay."""
    kept = [line for line in text.split("\n") if not line or len(line.split()) >= min_length]
    return remaining("line_length_modifier", "\n".join(kept))


def substring_line_modifier(text: str, *, pattern: re.Pattern[str], max_length: int = 10) -> str | Drop:
    """Remove what matches from lines of at most ten words, and lines that become blank by it."""
    kept = []
    for line in text.split("\n"):
        shorter = pattern.sub("", line) if len(line.split()) <= max_length else line
        if shorter.strip() or not line:
            kept.append(shorter)
    return remaining("substring_line_modifier", "\n".join(kept).strip())


def remaining(rule: str, text: str) -> str | Drop:
    """The text that a rule left, or a drop when nothing is left of it."""
    return text or Drop(rule, 0, 1)
