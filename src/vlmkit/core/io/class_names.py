"""Which class number a label means: in the model's own order by name, never by a guess.

A wrong order of classes looks like a broken model, or like one that any attack defeats.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vlmkit.core.errors import InputError
from vlmkit.core.io.progress import log


def match(names: Sequence[str], labels: Sequence[str] | None) -> list[int] | None:
    """The model's class number of each name, or None unless every name is one of the model's.

    Case and underscores do not count, and "tench" is found in the model's "tench, Tinca tinca".
    """
    known = lookup(labels or ())
    numbers = [known[plain(name)] for name in names if plain(name) in known]
    return numbers if len(numbers) == len(set(numbers)) == len(names) else None


def lookup(labels: Sequence[str]) -> dict[str, int]:
    """The class number of each name, and of its part before a comma, where only one class has it."""
    wholes = [plain(label) for label in labels]
    firsts = [whole.partition(",")[0] for whole in wholes]
    found: dict[str, int] = {}
    for names in (firsts, wholes):
        times = Counter(names)
        found |= {name: number for number, name in enumerate(names) if times[name] == 1}
    return found


def class_order(names: Sequence[str], labels: Sequence[str] | None, where: str) -> tuple[list[int], list[str] | None]:
    """The class number of each name, and the names by number.

    By the model's own names where all are found there; names that are whole numbers are those numbers; any others
    count in sorted order, if there are as many as the model has classes.

    Raises:
        InputError: the order would be a guess.
    """
    numbers = match(names, labels)
    if numbers is not None:
        return numbers, list(labels or ())
    if all(name.isascii() and name.isdecimal() for name in names):
        return [int(name) for name in names], None
    if labels is not None and len(labels) != len(names):
        known = lookup(labels)
        unknown = next((name for name in names if plain(name) not in known), names[0])
        raise InputError(
            f"{len(names)} classes for a model of {len(labels)}, and '{unknown}' is none of its labels",
            where=where,
            fix=f"name the classes as the model does ('{labels[0]}', …), or by their numbers",
        )
    if labels is not None:
        log.warning("%s: the classes are not named as the model's; they count in sorted order", where)
    order = sorted(names)
    return [order.index(name) for name in names], order


def plain(name: str) -> str:
    """A name without what does not count."""
    return " ".join(name.replace("_", " ").split()).casefold()


def class_number(value: object, where: str, labels: Sequence[str] | None) -> int:
    """A label as a class number; refuse what is missing, negative, not whole, or beyond the model's classes."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        raise InputError("a label is missing", where=where, fix="give every image a label, or leave the image out")
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool) or value != int(value):
        raise InputError(f"the label {value!r} is no class number", where=where, fix="whole numbers from 0")
    number = int(value)
    if number < 0:
        raise InputError(f"the label is {number}", where=where, fix="whole numbers from 0; leave unlabelled images out")
    if labels is not None and number >= len(labels):
        raise InputError(
            f"the label is {number}, but the model has {len(labels)} classes (0 to {len(labels) - 1})",
            where=where,
            fix="labels begin at 0; are these the images of another model?",
        )
    return number
