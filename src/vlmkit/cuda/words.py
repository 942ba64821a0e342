"""What a word is: three definitions, each used by the rules that were tuned with it.

- `fasttext_words`: pieces between ASCII white space and NUL, as fastText's tokenizer cuts them (page lengths);
- `str.split()`: pieces between Unicode white space (ratios; used directly);
- `segment_words`: words of Unicode Standard Annex 29 (n-gram repetition), those that start with a letter or digit.
"""

import re

import regex

from vlmkit.cuda.segmentation import SEGMENT

FASTTEXT_PIECE = re.compile("[^ \n\r\t\v\f\0]+")
FASTTEXT_TOKEN = re.compile("[^ \n\r\t\v\f\0]+|\n")
# The word boundaries of UAX 29 for ASCII text alone: letters, digits and _ stick together; : . ' join letters,
# . , ; ' join digits. Pieces that begin with _ are words too, but do not start with a letter or digit.
ASCII_WORD = re.compile(r"_*(?:(?:[A-Za-z](?:[:.']?[A-Za-z])*|[0-9](?:[.,;']?[0-9])*)+_*)+|_+")
SEGMENTS = regex.compile(SEGMENT, regex.V1)


def fasttext_words(text: str) -> list[str]:
    """Pieces between ASCII white space that start with a letter or digit."""
    return [word for word in FASTTEXT_PIECE.findall(text) if word[0].isalnum()]


def count_words(text: str) -> int:
    """How many pieces between ASCII white space start with a letter or digit."""
    return len(fasttext_words(text))


def fasttext_tokens(text: str) -> list[str]:
    """All that fastText's tokenizer cuts a text into: pieces between ASCII white space, and `</s>` for a line feed."""
    return [piece if piece != "\n" else "</s>" for piece in FASTTEXT_TOKEN.findall(text)]


def split_words(
    text: str, *, model: str = "fasttext", ignore_punctuation: bool = False, ignore_whitespace: bool = True
) -> list[str]:
    """Words as DCLM cuts them: `fasttext`, `uniseg` (UAX 29) or `split` (Unicode white space).

    Raises:
        ValueError: another model.
    """
    if model == "fasttext":
        if ignore_punctuation and ignore_whitespace:
            return fasttext_words(text)
        tokens = fasttext_tokens(text)
    elif model == "uniseg":
        if ignore_punctuation and ignore_whitespace:
            return segment_words(text)
        tokens = SEGMENTS.findall(text)
    elif model == "split":
        tokens = text.split()
    else:
        raise ValueError(f"unknown word model '{model}': fasttext, uniseg or split")
    if ignore_punctuation:
        return [word for word in tokens if word[0].isalnum() or (not ignore_whitespace and word[0].isspace())]
    return [word for word in tokens if word.strip()] if ignore_whitespace else tokens


def split_paragraphs(text: str, end: str = "\n", *, remove_empty: bool = True) -> list[str]:
    """Pieces between ends; without the empty ones they are stripped."""
    pieces = text.split(end)
    return [piece for raw in pieces if (piece := raw.strip())] if remove_empty else pieces


def segment_words(text: str) -> list[str]:
    """Words of UAX 29 that start with a letter or digit, in order."""
    pieces = ASCII_WORD.findall(text) if text.isascii() else SEGMENTS.findall(text)
    return [word for word in pieces if word[0].isalnum()]
