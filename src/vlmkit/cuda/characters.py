"""What every code point is, as one table: Python's own answers (`isspace`, `isalnum`, …) and the word-break classes of
Unicode Standard Annex 29, so that compiled code cuts text exactly where the interpreter at hand does.
"""

import functools
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import regex

from vlmkit.cuda.build import cache

CLASSES = (  # the numbers from 1 on in a character's lowest five bits, 0 for any other: csrc/text.h
    "CR", "LF", "Newline", "Extend", "Format", "ZWJ", "Regional_Indicator", "WSegSpace", "ALetter", "Hebrew_Letter",
    "Katakana", "Numeric", "ExtendNumLet", "MidLetter", "MidNumLet", "MidNum", "Single_Quote", "Double_Quote",
)  # fmt: skip
FLAGS = (str.isspace, str.isalnum, str.isalpha, str.isupper, str.isdigit)  # the bits from 32 on
PICTOGRAPHIC = 32 << len(FLAGS)
POINTS = sys.maxunicode + 1


@functools.cache
def characters() -> np.ndarray:
    """Uint16 (1114112,): the class in the lowest five bits, a bit for each of FLAGS, and one for pictographs."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}-{regex.__version__}"
    path = cache() / f"characters-{version}.npy"
    if path.is_file():
        return np.load(path, mmap_mode="r")
    table = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        np.save(made, table)
        os.replace(made, path)
    return table


def compute() -> np.ndarray:
    """The table, asked of the interpreter and of the package regex (half a second)."""
    every = [chr(point) for point in range(POINTS)]
    table = np.zeros(POINTS, np.uint16)
    for number, name in enumerate(CLASSES, start=1):
        mark(table, "".join(every), rf"\p{{WB={name}}}+", number)
    mark(table, "".join(every), r"\p{Extended_Pictographic}+", PICTOGRAPHIC)
    for bit, flag in enumerate(FLAGS):
        table |= np.fromiter(map(flag, every), np.uint16, POINTS) << np.uint16(5 + bit)
    return table


def mark(table: np.ndarray, every: str, pattern: str, value: int) -> None:
    """Add a value to the entries of the characters that match."""
    for found in regex.finditer(pattern, every, regex.V1):
        table[found.start() : found.end()] |= value
