"""Sentences, as DCLM's C4 recipe counts them: by NLTK's Punkt (Kiss and Strunk 2006), or by BlingFire.

Neither comes with vlmkit: NLTK's model of English is a file of its own, BlingFire a package.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vlmkit.core.errors import CapabilityError, InputError

Splitter = Callable[[str], list[str]]
PUNKT = "tokenizers/punkt_tab/english"
ENGLISH = ("en", "english")


def splitter(tokenizer: str, language: str | None, assets: Path | None) -> Splitter:
    """What cuts a text into its stripped, non-empty sentences.

    Raises:
        CapabilityError: the package is not installed.
        InputError: NLTK's model of English is not under the folder of assets, nor where NLTK looks.
        ValueError: another tokenizer.
    """
    if tokenizer == "nltk":
        spans = punkt(language, assets)
    elif tokenizer == "blingfire":
        spans = package("blingfire").text_to_sentences_and_offsets
        return lambda text: pieces(text, spans(text)[1]) if text else []
    else:
        raise ValueError(f"unknown sentence tokenizer '{tokenizer}': blingfire or nltk")
    return lambda text: pieces(text, spans(text)) if text else []


def pieces(text: str, offsets: object) -> list[str]:
    """The text between offsets."""
    return [one for start, end in offsets if (one := text[start:end].strip())]  # type: ignore[attr-defined]


def punkt(language: str | None, assets: Path | None) -> Callable[[str], object]:
    """NLTK's Punkt with its model of English, or untrained for another language, as DCLM does."""
    module, data = package("nltk.tokenize.punkt"), package("nltk.data")
    if language not in ENGLISH:
        return module.PunktSentenceTokenizer().span_tokenize
    folder = str(assets.resolve()) if assets is not None else None
    if folder is not None and folder not in data.path:
        data.path.insert(0, folder)  # NLTK opens nothing outside of its folders
    try:
        parameters = module.load_punkt_params(data.find(f"{PUNKT}/"))
    except LookupError as error:
        raise InputError(
            "NLTK's model of English sentences is not here",
            where=PUNKT,
            fix="unpack punkt_tab of nltk_data there, below --assets DIR or a folder of NLTK's",
        ) from error
    return module.PunktSentenceTokenizer(parameters).span_tokenize


def package(name: str) -> Any:
    """A package that does not come with vlmkit."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        top = name.split(".")[0]
        raise CapabilityError(
            f"{top} is not installed", where="page_length_filter length_type: sentence", fix=f"pip install {top}"
        ) from error
