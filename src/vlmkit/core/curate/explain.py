"""What became of a page, from the tables of a corpus; and where two texts are the same."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

from vlmkit.core.io.tables import Row, iter_rows

LONGEST = 20_000  # words of a text that are compared


def row_of(folder: Path, name: str) -> Row | None:
    """The row of an id in a folder of tables."""
    if not folder.is_dir():
        return None
    return next((row for row in iter_rows(folder) if row["id"] == name), None)


def values_of(folder: Path, name: str) -> dict[str, float]:
    """The values that the rules of a ledger have of an id."""
    row = row_of(folder, name) or {}
    return {rule: float(str(value)) for rule, value in row.items() if rule != "id" and value is not None}


def ids_of(folders: Sequence[Path], *, most: int) -> list[str]:
    """The first ids of the tables."""
    found: list[str] = []
    for folder in folders:
        for row in iter_rows(folder, columns=["id"]) if folder.is_dir() else ():
            found.append(str(row["id"]))
            if len(found) == most:
                return found
    return found


def shared_span(text: str, other: str) -> dict[str, object]:
    """The longest run of words that two texts share: the words, how many, and the first word's number in each."""
    first, second = text.split()[:LONGEST], other.split()[:LONGEST]
    match = SequenceMatcher(None, first, second, autojunk=False).find_longest_match()
    span = " ".join(first[match.a : match.a + match.size])
    return {"words": match.size, "at": match.a, "at_in_match": match.b, "text": span}
