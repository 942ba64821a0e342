"""Modifiers of DCLM: rules that change a text, and drop its page where nothing is left of it.

Names, keyword arguments, defaults and edge cases are those of DCLM (Li et al. 2024, "DataComp-LM").
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from vlmkit.core.curate.rules import ENDS, Drop
from vlmkit.cuda.text import COUNTED, lines, lines_over, mentions
from vlmkit.cuda.words import split_words

COUNTER_LINE = re.compile(rf"^\W*\d(?:,|\.|\d)*(?:K|k|M|m|B|b)?\s+(?:{COUNTED})\W*$")
PLAIN = re.compile(r"[A-Za-z0-9 -]+(?![A-Za-z0-9 ?*+-])")
BRANCH = re.compile(r"[|(){}\[\]\\]")
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
PUNCTUATION_END = re.compile('[.!?"\u2026]\\s*$')
ELLIPSIS_END = re.compile("(?:\\.\\.\\.|\u2026)\\s*$")


def newline_removal_modifier(text: str, *, max_consecutive: int = 2) -> str | Drop:
    """Shorten runs of more line feeds than so many."""
    if "\n" * (max_consecutive + 1) not in text:
        return text
    return re.sub(rf"\n{{{max_consecutive + 1},}}", "\n" * max_consecutive, text)


def uppercase_ratio_line_modifier(text: str, *, max_ratio: float = 0.5) -> str | Drop:
    """Remove lines of which more than half the characters are upper-case."""
    kept = text if lines(text).upper <= max_ratio else without(text, lines_over(text, str.isupper, max_ratio))
    return remaining("uppercase_ratio_line_modifier", kept.strip())


def numeric_ratio_line_modifier(text: str, *, max_ratio: float = 1.0) -> str | Drop:
    """Remove lines with a larger share of digits; a little less than 1 removes lines of digits alone."""
    kept = text if lines(text).digits <= max_ratio else without(text, lines_over(text, str.isdigit, max_ratio))
    return remaining("numeric_ratio_line_modifier", kept.strip())


def without(text: str, numbers: Sequence[int]) -> str:
    """A text without some of its lines, by their ascending numbers."""
    kept = text.split("\n")
    for number in reversed(numbers):
        del kept[number]
    return "\n".join(kept)


def counter_line_modifier(text: str) -> str | Drop:
    """Remove lines that only count, such as "3 likes"."""
    if not lines(text).counted:
        return remaining("counter_line_modifier", text.strip())
    kept = [line for line in text.split("\n") if not COUNTER_LINE.search(line.lower())]
    return remaining("counter_line_modifier", "\n".join(kept).strip())


def line_length_modifier(text: str, *, min_length: float = 0, max_length: float = math.inf) -> str | Drop:
    """Remove lines of fewer or more words; empty lines stay."""
    if min_length <= lines(text).fewest and lines(text).most <= max_length:
        return remaining("line_length_modifier", text)
    kept = [line for line in text.split("\n") if not line or min_length <= len(line.split()) <= max_length]
    return remaining("line_length_modifier", "\n".join(kept))


def word_length_modifier(text: str, *, max_length: float = 1000, **how: Any) -> str | Drop:
    """Remove lines that hold a longer word."""
    kept = [line for line in text.split("\n") if all(len(word) <= max_length for word in split_words(line, **how))]
    return remaining("word_length_modifier", "\n".join(kept))


def citation_removal_modifier(text: str) -> str | Drop:
    """Remove the marks of Wikipedia: [1], [edit], [citation needed]."""
    return remaining("citation_removal_modifier", CITATION.sub("", text))


def punctuation_line_modifier(text: str, *, remove_ellipses: bool = False) -> str | Drop:
    """Remove lines that do not end in a mark of punctuation, and on request those that end in an ellipsis."""
    kept = [line for line in text.split("\n") if not line or PUNCTUATION_END.search(line)]
    if remove_ellipses:
        kept = [line for line in kept if not ELLIPSIS_END.search(line)]
    return remaining("punctuation_line_modifier", "\n".join(kept))


def within_page_dedup(text: str, *, granularity: str = "line", normalize: bool = True) -> str | Drop:
    """Keep the first of equal lines or paragraphs; those that are blank once normalised all stay."""
    seen: set[str] = set()
    kept = []
    for piece in text.split(ENDS[granularity]):
        key = piece.strip().lower() if normalize else piece
        if not key or key not in seen:
            kept.append(piece)
            seen.add(key)
    return ENDS[granularity].join(kept)


def substring_line_modifier(
    text: str, *, pattern: re.Pattern[str], max_length: float | None = None, remove_substring_only: bool = False,
    needed: Sequence[str] = ("",),
) -> str | Drop:  # fmt: skip
    """Remove lines in which a pattern occurs, or only what matches and lines that become blank by it; lines of more
    than `max_length` words stay as they are. A match holds one of the lower-case strings `needed`."""
    if not mentions(text, needed) and (not remove_substring_only or lines(text).fewest > 0):
        return remaining("substring_line_modifier", text.strip())
    kept = []
    for line in text.split("\n"):
        if max_length is None or len(line.split()) <= max_length:
            shorter = pattern.sub("", line) if remove_substring_only else line
            gone = line and not shorter.strip() if remove_substring_only else pattern.search(line)
            if gone:
                continue
            line = shorter
        kept.append(line)
    return remaining("substring_line_modifier", "\n".join(kept).strip())


def banned_in_lines(banlist: Sequence[str], *, location: str = "any", case_sensitive: bool = False) -> re.Pattern[str]:
    """The pattern of a ban list for `substring_line_modifier`: its entries are regular expressions, as DCLM takes them,
    so the dots of "Read more..." stand for any character. One white space beside is taken along."""
    pattern = f"(?:{'|'.join(banlist if case_sensitive else [one.lower() for one in banlist])})"
    pattern = {"prefix": rf"^{pattern}\s?", "suffix": rf"\s?{pattern}$", "any": rf"\s?{pattern}"}[location]
    return re.compile(pattern, 0 if case_sensitive else re.IGNORECASE)


def needed_by(banlist: Sequence[str]) -> tuple[str, ...]:
    """For each entry of a ban list a lower-case string that every match holds: its longest run of ASCII letters,
    digits, spaces and hyphens that ends before no repetition; nothing where there are alternatives."""
    runs = ([] if BRANCH.search(entry) else PLAIN.findall(entry) for entry in banlist)
    return tuple(max(some, key=len, default="").lower() for some in runs) or ("",)


def remaining(rule: str, text: str) -> str | Drop:
    """The text that a rule left, or a drop when nothing is left of it."""
    return text or Drop(rule, 0, 1)
