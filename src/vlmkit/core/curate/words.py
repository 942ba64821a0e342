"""What a word is: three definitions, each used by the rules that were tuned with it.

- `fasttext_words`: pieces between ASCII white space and NUL, as fastText's tokenizer cuts them (page lengths);
- `str.split()`: pieces between Unicode white space (ratios; used directly);
- `segment_words`: words of Unicode Standard Annex 29 (n-gram repetition), those that start with a letter or digit.
"""

import re

import regex

from vlmkit.core.curate.segmentation import SEGMENT

FASTTEXT_PIECE = re.compile("[^ \n\r\t\v\f\0]+")
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


def segment_words(text: str) -> list[str]:
    """Words of UAX 29 that start with a letter or digit, in order."""
    pieces = ASCII_WORD.findall(text) if text.isascii() else SEGMENTS.findall(text)
    return [word for word in pieces if word[0].isalnum()]
