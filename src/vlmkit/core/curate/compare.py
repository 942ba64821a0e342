"""Steps of a recipe that compare all pages with one another, such as DCLM's `exact_dedup`.

A page has content units: one value, or each of a list of them, such as the lines that `split_lines_modifier` makes. Of
equal units of all pages one is kept: the first in the order of the corpus, or the first of those whose page has the
least (or greatest) value of a selection key. A page that had units and keeps none is dropped.

Units are compared by the MD5 of what a normaliser makes of them, so that 16 bytes a unit are held, not their texts.
DCLM leaves the order of equal units to Ray, so ties are open there; an empty value, such as the address of a page
without one, has no units here.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from vlmkit.core.curate.operations import Page, Setting, noted
from vlmkit.core.curate.rules import Drop
from vlmkit.core.errors import CapabilityError, InputError, nearest

Value = str | float
Normalizer = Callable[[str], Value]
CCNET_PUNCTUATION = "，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►"  # 1 among them, as in CCNet's table
CCNET_REMOVED = re.compile(f"[{CCNET_PUNCTUATION}\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Marks:
    """What is known of pages for a comparison: the digests of their units (N, 2) in uint64, how many units each page
    has (P,), and the selection value of each page (P,), or none at all."""

    units: np.ndarray
    counts: np.ndarray
    selection: np.ndarray | None = None


@dataclass(frozen=True)
class Comparison:
    """A step that compares pages: it marks each, judges all marks together, and changes or drops each page."""

    content_key: str
    normalize: Normalizer | None
    selection_key: str | None
    selection_normalize: Normalizer | None
    selection_reverse: bool

    def __call__(self, page: Page) -> Drop | None:
        del page
        raise InputError(
            "exact_dedup compares all pages with one another, so one page alone cannot go through it",
            where="exact_dedup",
            fix="run the recipe as a whole: vlmkit curate INPUT --recipe FILE.yaml",
        )

    def mark(self, page: Page) -> tuple[list[bytes], Value | None]:
        """The digest of each unit of a page, and its selection value.

        Raises:
            InputError: a key is not there, or its value is of another type.
        """
        digests = [self.digest(unit) for unit in units_of(page, self.content_key)]
        if self.selection_key is None:
            return digests, None
        value = noted(page, self.selection_key)
        value = self.selection_normalize(value) if self.selection_normalize else value
        if not isinstance(value, str | int | float):
            raise InputError(f"a {type(value).__name__} gives no order", where=self.selection_key, fix="text or number")
        return digests, value

    def digest(self, unit: str) -> bytes:
        """Sixteen bytes that equal units share."""
        plain = str(self.normalize(unit)) if self.normalize else unit
        return hashlib.md5(plain.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()

    def judge(self, marks: Marks) -> np.ndarray:
        """The unit that is kept in place of each (N,); of a kept one, itself."""
        owner = np.repeat(np.arange(len(marks.counts)), marks.counts)
        columns = [marks.units[:, 1], marks.units[:, 0]]  # the last one sorts first, and equals stay in order
        if marks.selection is not None:
            rank = np.unique(marks.selection, return_inverse=True)[1].reshape(-1)
            columns.insert(0, (-rank if self.selection_reverse else rank)[owner])
        order = np.lexsort(columns)
        ordered = marks.units[order]
        begins = np.ones(len(order), dtype=np.bool_)
        begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        leader = np.empty(len(order), dtype=np.int64)
        leader[order] = order[begins][np.cumsum(begins) - 1]
        return leader

    def settle(self, page: Page, kept: np.ndarray) -> Drop | None:
        """Leave a page its kept units (n,), or drop it when it has none left."""
        value = page[self.content_key]
        if isinstance(value, list):
            value = page[self.content_key] = [unit for unit, stays in zip(value, kept, strict=True) if stays]
            return None if value else Drop("exact_dedup", 1, 1)
        return None if kept.all() else Drop("exact_dedup", 1, 1)


def exact_dedup(
    setting: Setting, content_key: str = "text", normalize: str | None = None, selection_key: str | None = None,
    selection_normalize: str | None = None, selection_reverse: bool = False,
) -> Comparison:  # fmt: skip
    """Keeps one of equal values, or list entries, of all pages."""
    del setting
    by = [normalizer(name) for name in (normalize, selection_normalize)]
    return Comparison(content_key, by[0], selection_key, by[1], selection_reverse)


def units_of(page: Page, key: str) -> Sequence[str]:
    """The content units of a page."""
    value = noted(page, key)
    units = value if isinstance(value, list) else [value] if value else []
    if not all(isinstance(unit, str) for unit in units):
        raise InputError(f"'{key}' is no text and no list of texts", where=key, fix="content_key: text, or url")
    return units


def normalize_url(url: str) -> str:
    """An address without scheme, www, marks of campaigns and the last slash, as C4 compares them."""
    return re.sub(r"\?(utm_|ref|feed).*", "", re.sub(r"https?://(www\.)?", "", url)).rstrip("/")


def normalize_whitespace_and_lowercase(text: str) -> str:
    """A text stripped and in lower case."""
    return text.strip().lower()


def normalize_timestamps(timestamp: str) -> float:
    """The seconds of a time such as 2019-04-18T10:00:00Z; -1 of what is none."""
    try:
        return datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return -1.0


def hash_text(text: str) -> str:
    """The MD5 of a text, in hexadecimal: a choice at random, but always the same."""
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def ccnet_dedup_normalizer(text: str) -> str:
    """A line in lower case, its digits 0, without accents and CCNet's punctuation (Wenzek et al. 2020).

    Raises:
        CapabilityError: the package unidecode is not installed.
    """
    try:
        from unidecode import unidecode
    except ModuleNotFoundError as error:
        raise CapabilityError(
            "unidecode is not installed", where="ccnet_dedup_normalizer", fix="pip install unidecode"
        ) from error
    return unidecode(CCNET_REMOVED.sub("", re.sub(r"\d", "0", text.strip().lower())))


NORMALIZERS: dict[str, Normalizer] = {
    one.__name__: one
    for one in (
        normalize_url, normalize_whitespace_and_lowercase, normalize_timestamps, hash_text, ccnet_dedup_normalizer,
    )
}  # fmt: skip


def normalizer(name: str | None) -> Normalizer | None:
    """A normaliser by the name that DCLM gives it; DCLM itself passes over names that it does not know."""
    if name is not None and name not in NORMALIZERS:
        raise InputError(f"there is no normaliser '{name}'", where="normalize", fix=nearest(name, NORMALIZERS))
    return NORMALIZERS[name] if name is not None else None


def marks_of(marked: Sequence[tuple[list[bytes], Value | None]]) -> Marks:
    """The marks of pages as arrays; texts to select by as UTF-8, whose order is that of the texts.

    Raises:
        InputError: some pages select by a text, others by a number.
    """
    units = np.frombuffer(b"".join(digest for digests, _ in marked for digest in digests), dtype=">u8")
    counts = np.array([len(digests) for digests, _ in marked], dtype=np.int64)
    values = [value for _, value in marked if value is not None]
    texts = [value.encode("utf-8", "surrogatepass") for value in values if isinstance(value, str)]
    if texts and len(texts) < len(values):
        raise no_order()
    chosen = np.array(texts) if texts else np.array(values, dtype=np.float64) if values else None
    return Marks(units.astype(np.uint64).reshape(-1, 2), counts, chosen)


def joined(parts: Sequence[Marks]) -> Marks:
    """The marks of several parts, in order."""
    units = np.concatenate([np.empty((0, 2), np.uint64), *(one.units for one in parts)])
    counts = np.concatenate([np.empty(0, np.int64), *(one.counts for one in parts)])
    chosen = [one.selection for one in parts if one.selection is not None]
    if len({one.dtype.kind == "S" for one in chosen}) > 1:
        raise no_order()
    return Marks(units, counts, np.concatenate(chosen) if chosen else None)


def no_order() -> InputError:
    """The error for selection values of two kinds."""
    return InputError(
        "some pages have a text there, others a number", where="selection_key", fix="selection_normalize: hash_text"
    )
