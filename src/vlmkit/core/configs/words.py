"""From words to values: what a user types, read by the annotation of its field.

Numbers may be written 1e6, 10_000 or 4/255; lists are split at commas; dictionaries are NAME=VALUE.
"""

import math
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from vlmkit.core.errors import InputError, nearest


def bare(hint: Any) -> Any:
    """An annotation without `| None`."""
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (one for one in get_args(hint) if one is not type(None))
        return inner
    return hint


def read_value(raw: Any, hint: Any, label: str, repeat: bool) -> Any:
    """A field's value from words or from TOML."""
    inner = bare(hint)
    origin, args = get_origin(inner), get_args(inner)
    if origin is dict:
        pairs = raw.items() if isinstance(raw, dict) else [split_pair(str(word), label) for word in aslist(raw)]
        names = [key for key, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two values are named '{name}'", where=label, fix="give each its own name")
        return {key: read_word(word, args[1], label) for key, word in pairs}
    if origin is tuple:
        found = [str(word) for word in aslist(raw)]
        if not repeat and args[0] is not Path:
            found = [part.strip() for word in found for part in word.split(",") if part.strip()]
        return tuple(read_word(word, args[0], label) for word in found)
    return read_word(raw, inner, label)


def aslist(raw: Any) -> list[Any]:
    """One word or several, as several."""
    return list(raw) if isinstance(raw, list | tuple) else [raw]


def split_pair(word: str, label: str) -> tuple[str, str]:
    """NAME=VALUE."""
    key, equals, value = word.partition("=")
    if not (key and equals and value):
        raise InputError(f"'{word}' is not NAME=VALUE", where=label, fix="such as web=held-out")
    return key, value


def read_word(word: Any, kind: Any, label: str) -> Any:
    """One word in the type that its field asks for."""
    if get_origin(kind) is Literal:
        if word not in get_args(kind):
            raise InputError(f"unknown value '{word}'", where=label, fix=nearest(word, get_args(kind)))
        return word
    if kind is bool:
        known = {
            True: True,
            False: False,
            "1": True,
            "true": True,
            "yes": True,
            "0": False,
            "false": False,
            "no": False,
        }
        if word not in known:
            raise InputError(f"'{word}' is neither true nor false", where=label, fix="true or false")
        return known[word]
    if kind in (int, float):
        return read_number(str(word), kind, label)
    return Path(str(word)).expanduser() if kind is Path else str(word)


def read_number(word: str, kind: type, label: str) -> int | float:
    """A number, also as 1e6, 10_000 or 4/255."""
    top, slash, bottom = word.partition("/")
    try:
        value = (
            float(top) / float(bottom)
            if slash
            else int(top)
            if kind is int and top.lstrip("+-").isdigit()
            else float(top)
        )
    except (ValueError, ZeroDivisionError):
        raise InputError(
            f"'{word}' is not a number",
            where=label,
            fix="such as " + ("1000 or 1e6" if kind is int else "0.5 or 4/255"),
        ) from None
    if not math.isfinite(value) or (kind is int and abs(value) >= 2**63):
        raise InputError(f"'{word}' is out of range", where=label, fix="a finite number")
    if kind is int and value != int(value):
        raise InputError(f"'{word}' is not a whole number", where=label, fix=f"such as {round(value)}")
    return int(value) if kind is int else value
